//! PostgreSQL servers of a test's own: made in a temporary folder, reached by a socket in it, gone with the test.
//!
//! A server runs as an unprivileged user where the test is root, since it refuses to be root's. A shell waits beside it
//! for the end of the test's process, however that comes, stops the server and removes the folder.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{ports, tool};

/// Debian's `nobody` and `nogroup`.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The user that a server knows, who may do everything in it.
pub const USER: &str = "sigill";

const SETTINGS: &str = "listen_addresses = ''
max_connections = 200
shared_buffers = 32MB
jit = off
logging_collector = off
";

/// A server, running or killed.
pub struct Postgresql {
    folder: PathBuf,
    port: u16,
    programs: PathBuf,
    unprivileged: bool,
    /// Its end is the shell's signal.
    _end: ChildStdin,
    watch: Child,
}

impl Postgresql {
    /// Makes a server and starts it; `None`, with a `skipped:` line, where PostgreSQL is not installed.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let programs = tool::find("initdb")?.parent().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap().keep();
        let unprivileged = fs::metadata("/proc/self").is_ok_and(|own| {
            use std::os::unix::fs::MetadataExt as _;
            own.uid() == 0
        });
        if unprivileged {
            chown(&folder, Some(NOBODY.0), Some(NOBODY.1)).unwrap();
        }
        let mut watch = Command::new("sh");
        watch
            .args([
                "-c",
                "cat > /dev/null; \"$1/pg_ctl\" -D \"$2/data\" -m immediate -w stop; rm -rf \"$2\"",
                "sh",
            ])
            .args([&programs, &folder])
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if unprivileged {
            watch.uid(NOBODY.0).gid(NOBODY.1);
        }
        let mut watch = watch.spawn().unwrap();
        let end = watch.stdin.take().unwrap();
        let port = ports::free_address().port();
        let server = Self { folder, port, programs, unprivileged, _end: end, watch };
        server.make();
        server.start_again();
        Some(server)
    }

    fn make(&self) {
        let data = self.folder.join("data");
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(&data).args(["-U", USER, "-A", "trust", "-E", "UTF8"]);
        initdb.args(["--locale=C.UTF-8", "--no-sync"]);
        succeeded(&initdb.output().unwrap());
        let mut settings =
            fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        let Self { folder, port, .. } = self;
        let own = format!("port = {port}\nunix_socket_directories = '{}'\n", folder.display());
        settings.write_all(SETTINGS.as_bytes()).unwrap();
        settings.write_all(own.as_bytes()).unwrap();
    }

    /// Listens at 127.0.0.1 too, where it speaks TLS alone and wants a password; `certificate` and `key` are PEM.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    pub fn speak_tls(&self, certificate: &str, key: &str, password: &str) {
        self.sql("postgres", &format!("ALTER USER {USER} PASSWORD '{password}'"));
        let data = self.folder.join("data");
        for (name, content) in [("server.crt", certificate), ("server.key", key)] {
            let path = data.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if self.unprivileged {
                chown(&path, Some(NOBODY.0), Some(NOBODY.1)).unwrap();
            }
        }
        let mut settings =
            fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        settings.write_all(b"listen_addresses = '127.0.0.1'\nssl = on\n").unwrap();
        let who = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), who).unwrap();
        self.stop();
        self.start_again();
    }

    /// Stops the server as an operator does who does not wait for its clients.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn stop(&self) {
        let mut stop = self.command("pg_ctl");
        stop.arg("-D").arg(self.folder.join("data")).args(["-m", "fast", "-w", "stop"]);
        succeeded(&stop.output().unwrap());
    }

    /// Starts it after [`Self::kill`]; returns once it answers.
    ///
    /// # Panics
    ///
    /// If it does not within two minutes.
    pub fn start_again(&self) {
        let begun = Instant::now();
        loop {
            // Straight after a kill its children may still hold what the new one needs.
            let started = self
                .command("pg_ctl")
                .arg("-D")
                .arg(self.folder.join("data"))
                .arg("-l")
                .arg(self.folder.join("log"))
                .args(["-w", "-t", "60", "start"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            if started.success() {
                return;
            }
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not start: {log}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Kills the server with signal 9; its sessions end with it, and nothing of theirs is finished.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn kill(&self) {
        let pid = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
    }

    /// A new, empty database; returns its name.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    #[must_use]
    pub fn database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("sigill{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        name
    }

    /// Runs statements as an operator would, in `psql`; returns what it prints, unaligned.
    ///
    /// # Panics
    ///
    /// If they fail.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let output = self
            .command("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database])
            .args(["-c", statements])
            .output()
            .unwrap();
        succeeded(&output);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Backs a database up with `pg_dump` and puts the backup into a new one; returns its name.
    ///
    /// # Panics
    ///
    /// If either fails.
    #[must_use]
    pub fn copy(&self, database: &str) -> String {
        let copy = self.database();
        let file = self.folder.join(format!("{copy}.dump"));
        succeeded(
            &self
                .command("pg_dump")
                .args(["-Fc", "-d", database, "-f"])
                .arg(&file)
                .output()
                .unwrap(),
        );
        let mut restore = self.command("pg_restore");
        restore.args(["--exit-on-error", "--single-transaction", "-d", &copy]).arg(&file);
        succeeded(&restore.output().unwrap());
        copy
    }

    /// From now on nobody comes in without this password.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    pub fn want_password(&self, password: &str) {
        self.sql("postgres", &format!("ALTER USER {USER} PASSWORD '{password}'"));
        fs::write(self.folder.join("data/pg_hba.conf"), "local all all scram-sha-256\n").unwrap();
        let mut reload = self.command("pg_ctl");
        reload.arg("-D").arg(self.folder.join("data")).arg("reload");
        succeeded(&reload.output().unwrap());
        // Told by a signal, which the server acts on in its own time.
        while self
            .command("psql")
            .args(["-w", "-d", "postgres", "-c", ""])
            .status()
            .unwrap()
            .success()
        {
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The port that it listens at, and that its socket is named by.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program of PostgreSQL's, as the user that the server runs as.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir("/")
            .env("PGHOST", &self.folder)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", USER)
            .stdin(Stdio::null());
        if self.unprivileged {
            command.uid(NOBODY.0).gid(NOBODY.1);
        }
        command
    }
}

impl Drop for Postgresql {
    fn drop(&mut self) {
        let stopped = self
            .command("pg_ctl")
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-m", "immediate", "-w", "stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        drop(stopped);
        drop(fs::remove_dir_all(&self.folder));
        drop(self.watch.kill());
        drop(self.watch.wait());
    }
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_answers_outlives_a_kill_and_leaves_nothing() {
        let Some(server) = Postgresql::start() else { return };
        let database = server.database();
        server.sql(&database, "CREATE TABLE t (x BIGINT); INSERT INTO t VALUES (5)");
        server.kill();
        server.start_again();
        assert_eq!(server.sql(&server.copy(&database), "SELECT x FROM t"), "5\n");
        let folder = server.folder().to_owned();
        drop(server);
        assert!(!folder.exists());
    }
}
