//! `sigill-ceremony exchange answer`: what a ceremony signed goes back to who asked for it, once, and to nobody else.

use std::fs;
use std::time::{Duration, SystemTime};

use ceremony_core::exchange::{Matter, Nonce, Opened, Request, Response, Wanted};
use ceremony_core::plan::Plan;
use ceremony_core::words::Fingerprint;
use hsm::statement::SoftwarePersonKey;
use support::spoken;
use x509::time::UnixTime;

use super::run::Ready;

/// A ceremony that was held, both zones' keys, and a request.
pub(crate) struct Exchange<'w> {
    ready: &'w Ready<'w>,
    /// The home of the ceremony.
    home: &'w str,
    asker: SoftwarePersonKey,
    request: Request,
}

impl<'w> Exchange<'w> {
    /// One about what the ceremony of `home` did with this input.
    pub(crate) fn new(
        ready: &'w Ready<'w>,
        home: &'w str,
        (wanted, issuer, payload): (Wanted, &[u8], &[u8]),
    ) -> Self {
        let pins = ready.0.softhsm.pins();
        SoftwarePersonKey::create(&pins.join("zone.key")).unwrap();
        let plan = Plan::read(&fs::read(ready.0.path("plan.toml")).unwrap()).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let at = |secs: u64| UnixTime::from_secs(now + secs).unwrap();
        let matter = Matter {
            deployment: plan.deployment,
            number: 1,
            nonce: Nonce::from_random([1; 16]),
            created: at(0),
            expires: at(86_400),
            wanted,
            issuer: Fingerprint::of(issuer),
        };
        let request = Request { matter, previous: None, plan: None, payload: payload.to_vec() };
        let asker = SoftwarePersonKey::create(&pins.join("asker.key")).unwrap();
        Self { ready, home, asker, request }
    }

    /// Signs a request and has it answered into this file.
    fn answered(&self, request: &Request, out: &str) -> (i32, String) {
        self.answered_to(&self.asker, request, out)
    }

    /// The same, signed with this key.
    fn answered_to(
        &self,
        asker: &SoftwarePersonKey,
        request: &Request,
        out: &str,
    ) -> (i32, String) {
        let file = self.ready.0.path(&format!("{out}.request"));
        let signed = asker.statement(&request.statement().unwrap()).unwrap();
        fs::write(&file, request.file(&signed)).unwrap();
        let pins = self.ready.0.softhsm.pins();
        let path = |name: &str| self.ready.0.path(name);
        self.ready.0.says(&[
            "exchange",
            "answer",
            &file,
            "--plan",
            &path("plan.toml"),
            "--home",
            &path(self.home),
            "--state",
            &path("exchanges"),
            "--key",
            pins.join("zone.key").to_str().unwrap(),
            "--asker-key",
            &self.asker.key().spki_hash().to_string(),
            "--out",
            &path(out),
        ])
    }

    fn response(&self, out: &str) -> Opened<Response> {
        Response::open(&fs::read(self.ready.0.path(out)).unwrap()).unwrap()
    }

    /// CER-07, N30, A6: answered, once more with the same octets, and nothing else after it; what it gives is read by OpenSSL as it is.
    pub(crate) fn is_answered_once(&self, given: &[u8], words: &[&str]) {
        let (code, said) = self.answered(&self.request, "one.response");
        assert_eq!(code, 0, "{said}");
        let response = self.response("one.response");
        assert_eq!(response.said.payload, given);
        assert_eq!(response.said.matter.nonce, self.request.matter.nonce);
        let plan = Plan::read(&fs::read(self.ready.0.path("plan.toml")).unwrap()).unwrap();
        assert_eq!(response.said.plan, plan.hash);
        assert!(said.contains(&plan.hash.to_string()) && said.contains("number 1, "), "{said}");
        // The head is what the run printed, and people wrote down.
        let (_, told) = self.ready.run(self.home);
        assert!(told.contains(&response.said.head.to_string()), "{told}");
        let file = self.ready.0.path("one.response");
        if let Some(judged) =
            spoken::openssl(&self.ready.0.folder, &[words, &["-in", &file]].concat())
        {
            assert_eq!(judged.code, 0, "{}", judged.text);
        }

        // As if the answer was lost on its way.
        let octets = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(self.answered(&self.request, "one.response").0, 0);
        assert_eq!(fs::read(&file).unwrap(), octets);
        // Broken off before it was remembered that it is answered, it is answered anew; it was handed to nobody.
        fs::remove_file(&file).unwrap();
        fs::remove_file(self.ready.0.path("exchanges/00000001.request")).unwrap();
        assert_eq!(self.answered(&self.request, "one.response").0, 0);
        assert_eq!(self.response("one.response").said.payload, given);
    }

    /// Asks for the CRL that follows this one, by a request of this number: its answer, or the code of the refusal.
    pub(crate) fn released(&self, number: u32, after: &[u8]) -> Result<Vec<u8>, String> {
        let mut request = self.request.clone();
        request.matter.number = number;
        request.matter.nonce = Nonce::from_random([u8::try_from(number).unwrap(); 16]);
        request.payload = after.to_vec();
        let out = format!("{number}.response");
        let (code, said) = self.answered(&request, &out);
        if code == 0 {
            return Ok(self.response(&out).said.payload);
        }
        assert_eq!(code, 21, "{said}");
        assert!(!self.ready.0.folder.join(&out).exists());
        let (_, refused) = said.split_once("error: ").unwrap();
        Err(refused.split(": ").next().unwrap().to_owned())
    }

    /// N27, N30, CER-07: nothing else is answered, and nothing is written.
    pub(crate) fn is_refused_otherwise(&self) {
        let other = |change: &dyn Fn(&mut Request)| {
            let mut request = self.request.clone();
            request.matter.number = 2;
            request.matter.nonce = Nonce::from_random([2; 16]);
            change(&mut request);
            request
        };
        let day = Duration::from_secs(86_400);
        let past = self.request.matter.created.saturating_sub(day * 2);
        let of_another = "test/demo/tr02".parse().unwrap();
        for (code, request) in [
            ("exchange-number", other(&|it| it.matter.number = 1)),
            ("exchange-nonce", other(&|it| it.matter.nonce = self.request.matter.nonce)),
            ("exchange-deployment", other(&|it| it.matter.deployment = of_another)),
            ("exchange-previous", other(&|it| it.previous = Some(Fingerprint::of(b"never")))),
            (
                "exchange-time",
                other(&|it| (it.matter.created, it.matter.expires) = (past, it.matter.created)),
            ),
            ("exchange-not-held", other(&|it| it.payload.push(0))),
            ("exchange-not-held", other(&|it| it.matter.issuer = Fingerprint::of(b"another"))),
        ] {
            let (exit, said) = self.answered(&request, "other.response");
            assert_eq!(exit, 21, "{said}");
            assert!(said.contains(&format!("error: {code}: ")), "{code}: {said}");
            assert!(!self.ready.0.folder.join("other.response").exists());
        }
        // Somebody else asks what would be answered if it were asked by the zone itself.
        let stranger = self.ready.0.softhsm.pins().join("stranger.key");
        let stranger = SoftwarePersonKey::create(&stranger).unwrap();
        let (exit, said) = self.answered_to(&stranger, &other(&|_| ()), "other.response");
        assert_eq!(exit, 21, "{said}");
        assert!(said.contains("error: exchange-signer: "), "{said}");
        assert!(!self.ready.0.folder.join("other.response").exists());
        let (exit, said) = self.answered(&other(&|_| ()), "two.response");
        assert_eq!(exit, 0, "{said}");
    }
}
