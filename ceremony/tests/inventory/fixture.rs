//! A token with keys, configurations that name them, and the program.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use hsm::pin::Pin;
use hsm::token::TokenName;
use hsm::{
    KeyId, KeyOrder, Module, NewToken, PinMarkers, Removal, Token, TokenSettings, init_token,
};
use serde_json::Value;
use support::softhsm::{MODULE, SO_PIN, SoftHsm, USER_PIN};
use support::tool;
use x509::key::{KeyType, PublicKey};
use x509::pem;
use zeroize::Zeroizing;

const DEADLINE: Duration = Duration::from_secs(60);

/// A token of deployment test/demo/ab12.
pub(crate) struct World<'a> {
    softhsm: &'a SoftHsm,
    name: TokenName,
}

impl<'a> World<'a> {
    /// `None` where OpenSSL, which makes the authorities' certificates, is missing.
    pub(crate) fn new(softhsm: &'a SoftHsm) -> Option<Self> {
        Self::labelled(softhsm, "sg-td-ab12-issuing")
    }

    pub(crate) fn labelled(softhsm: &'a SoftHsm, label: &str) -> Option<Self> {
        tool::find("openssl")?;
        let pin = |file: &str, pin: &str| write_pin(&softhsm.pins().join(file), pin);
        let new = NewToken {
            label: label.parse().unwrap(),
            so_pin: pin("so.pin", SO_PIN),
            user_pin: pin("user.pin", USER_PIN),
        };
        let module = Module::load(Path::new(MODULE)).unwrap();
        let markers = PinMarkers::in_folder(&softhsm.state()).unwrap();
        let name = init_token(&module, &new, &markers).unwrap();
        Some(Self { softhsm, name })
    }

    pub(crate) fn make_key(&self, label: &str, key_type: KeyType) -> PublicKey {
        let module = Module::load(Path::new(MODULE)).unwrap();
        let settings = TokenSettings {
            name: self.name.clone(),
            pin: Pin::from_file(&self.softhsm.pins().join("user.pin")).unwrap(),
            markers: PinMarkers::in_folder(&self.softhsm.state()).unwrap(),
            sessions: NonZeroUsize::MIN,
            deadline: DEADLINE,
            quirks: hsm::Quirks::default(),
        };
        let order = KeyOrder {
            key_type,
            label: label.to_owned(),
            id: KeyId::of_step(&[7; 32], label),
            removal: Removal::Forbidden,
        };
        Token::open(&module, settings).unwrap().generate_key(order, DEADLINE).unwrap()
    }

    /// A configuration in which an authority has this key in this token.
    pub(crate) fn config(&self, key: &PublicKey) -> String {
        let public = pem::encode(pem::Label::PublicKey, key.spki_der());
        self.write_config(&public)
    }

    /// As [`Self::config`], with an algorithm policy of its own.
    pub(crate) fn config_with_policy(&self, key: &PublicKey, policy: &str) -> String {
        let config = self.config(key);
        let text = fs::read_to_string(&config).unwrap();
        fs::write(Path::new(&config).with_file_name("policy.toml"), policy).unwrap();
        fs::write(&config, format!("algorithm-policy = \"policy.toml\"\n{text}")).unwrap();
        config
    }

    /// As [`Self::config`], for the key of a file of [`Self::foreign_key`].
    pub(crate) fn config_of_file(&self, file: &str) -> String {
        self.write_config(&openssl(&["pkey", "-inform", "DER", "-in", file, "-pubout"]))
    }

    fn write_config(&self, public: &str) -> String {
        let folder = self.softhsm.state().join("config");
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        fs::write(path("public.pem"), public).unwrap();
        let parameters = "ec_paramgen_curve:P-256";
        let (key, certificate) = (path("other.pem"), path("issuing.pem"));
        openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", parameters, "-out", &key]);
        let made = ["x509", "-new", "-force_pubkey", &path("public.pem"), "-subj", "/CN=issuing"];
        openssl(&[&made[..], &["-key", &key, "-out", &certificate]].concat());
        let serial = &self.name.serial;
        let text = format!(
            "[deployment]\nenvironment = \"test\"\npki = \"demo\"\ninstance = \"ab12\"\n\n\
             [hsm]\nmodule = \"{MODULE}\"\n\n[[hsm.token]]\nrole = \"issuing\"\nserial = \"{serial}\"\n\n\
             [[authority]]\nname = \"issuing\"\ncertificate = \"issuing.pem\"\ntoken = \"issuing\"\n"
        );
        fs::write(path("ca.toml"), text).unwrap();
        path("ca.toml")
    }

    /// A file with a new RSA key that no token has made, DER.
    pub(crate) fn foreign_key(&self) -> String {
        let file = self.softhsm.state().join("foreign.der").display().to_string();
        let bits = "rsa_keygen_bits:2048";
        let kind = ["genpkey", "-algorithm", "RSA", "-pkeyopt", bits];
        openssl(&[&kind[..], &["-outform", "DER", "-out", &file]].concat());
        file
    }

    /// Whether pkcs11-tool is there; then it has done it.
    pub(crate) fn pkcs11_tool(&self, arguments: &[&str], label: &str) -> bool {
        let Some(program) = tool::find("pkcs11-tool") else { return false };
        let mut command = Command::new(program);
        command.args(["--module", MODULE, "--token-label", self.name.label.as_str()]);
        command.args(["--login", "--pin", USER_PIN]).args(arguments);
        if !label.is_empty() {
            command.args(["--label", label]);
        }
        let output = self.softhsm.environment(&mut command).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        true
    }

    /// Runs the program on the token with these arguments beside.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigill-ceremony"));
        command.args(["hsm", "inventory", "--module", MODULE]);
        command.args(["--label", self.name.label.as_str(), "--serial", self.name.serial.as_str()]);
        command.arg("--pin").arg(self.softhsm.pins().join("user.pin"));
        command.arg("--state").arg(self.softhsm.state()).args(arguments);
        self.softhsm.environment(&mut command).output().unwrap()
    }

    /// As [`Self::run`] with `--json`, ending with `code`.
    pub(crate) fn json(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Keeps a record in a file.
    pub(crate) fn keep(&self, name: &str, record: &Value) -> String {
        self.keep_text(name, &record.to_string())
    }

    pub(crate) fn keep_text(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.softhsm.state().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn change_pin_file(&self, pin: &str) {
        write_pin(&self.softhsm.pins().join("user.pin"), pin);
    }
}

fn write_pin(path: &Path, pin: &str) -> Pin {
    let _absent = fs::remove_file(path);
    let drawn = Zeroizing::new(pin.to_owned());
    Pin::from_drawn(&drawn).unwrap().create_file(path).unwrap();
    Pin::from_file(path).unwrap()
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
