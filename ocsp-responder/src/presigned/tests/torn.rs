//! Files that were not written to their end, and files as large as those of a national eID.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;

/// So many certificates of one wave.
fn of_one_wave(count: usize) -> (Wave, Vec<u32>) {
    let wave = Wave::of(&serial(0));
    (wave, (0..).filter(|number| Wave::of(&serial(*number)) == wave).take(count).collect())
}

/// Decision 0027 (7): half of a file that a killed program left aside is never read, on either side; and one that a carrier left cut
/// under its name, wherever it ends, is refused: the answers before it are given on, and a whole one is taken.
#[test]
fn a_file_that_is_cut_anywhere_costs_no_answer() {
    let (wave, numbers) = of_one_wave(3);
    let mut zones = Zones::new(0);
    let cards: Vec<_> = numbers.iter().map(|number| issued(*number, 100 * DAY)).collect();
    zones.beat(START, &cards);
    zones.sign(START);
    assert!(zones.refused(START).is_empty());
    let file = zones.file(wave);
    let before = fs::read(&file).unwrap();
    zones.beat(START + 1, &[revoked(numbers[1])]);
    assert_eq!(zones.sign(START + 1), 1);
    let after = fs::read(&file).unwrap();

    // Killed while it wrote: the old file under its name, half of the new one aside.
    let aside = |file: &Path| file.with_file_name(format!(".{wave}.new"));
    let half = &after[..after.len() / 2];
    fs::write(&file, &before).unwrap();
    fs::write(aside(&file), half).unwrap();
    let own = zones.folder.path().join(format!("outer/presigned/person3/{wave}.answers"));
    assert_eq!(fs::read(&own).unwrap(), before);
    fs::write(aside(&own), half).unwrap();
    let good = Some(CertStatus::Good);
    assert!(zones.refused(START + 2).is_empty());
    assert!(numbers.iter().all(|number| zones.given(*number) == good));
    zones.presigner = Zones::presigner_of(zones.folder.path(), &zones.view, &zones.delegates);
    assert_eq!(zones.sign(START + 2), 1, "what the killed one had not brought to its end");
    let whole = fs::read(&file).unwrap();
    assert_eq!(PresignedFile::read(&whole).unwrap().answers().count(), 3);

    for cut in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
        fs::write(&file, &whole[..cut]).unwrap();
        assert_eq!(zones.refused(START + 2), ["presigned-corrupt"], "{cut} octets");
        assert!(numbers.iter().all(|number| zones.given(*number) == good), "{cut} octets");
    }
    fs::write(&file, &whole).unwrap();
    assert!(zones.refused(START + 2).is_empty());
    assert!(matches!(zones.given(numbers[1]), Some(CertStatus::Revoked { .. })));
    assert_eq!([numbers[0], numbers[2]].map(|number| zones.given(number)), [good, good]);
}

const CHILD: &str = "SIGILL_PRESIGNED_CHILD";
const CARDS: u32 = 60;

/// The program that is killed: it signs all again and again.
#[test]
fn child_that_is_killed() {
    let Some(folder) = env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut zones = Zones::new(CARDS);
    zones.presigner = Zones::presigner_of(&folder, &zones.view, &zones.delegates);
    for hour in 0.. {
        let now = START + hour * HOUR;
        zones.beat(now, &[]);
        zones.sign(now);
        // Nobody listens any more: the end of this process is near.
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "\nsigned").and_then(|()| out.flush());
    }
}

/// Decision 0027 (7): whenever the signer is killed with signal 9, each file is there whole.
#[test]
fn a_signer_that_is_killed_leaves_whole_files() {
    let folder = tempfile::tempdir().unwrap();
    for kill in 0..support::budget::count("presigned-kills") {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "presigned::tests::torn::child_that_is_killed", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let signed = lines.find(|line| line.as_ref().is_ok_and(|line| line == "signed"));
        assert!(signed.is_some(), "the child ended by itself");
        // At another place of its round each time.
        std::thread::sleep(Duration::from_millis(kill * 7 % 40));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut answers = 0;
        for entry in fs::read_dir(folder.path().join("presigned/person3")).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with('.') {
                continue;
            }
            let octets = fs::read(entry.path()).unwrap();
            let file = PresignedFile::read(&octets);
            let file = file.unwrap_or_else(|error| panic!("{name} after kill {kill}: {error}"));
            answers += file.answers().count();
        }
        assert_eq!(answers, usize::try_from(CARDS).unwrap(), "after kill {kill}");
    }
}

/// What a file has beside its answers: head, delegate and digest, in octets.
const BESIDE: u64 = 1200;

/// Decision 0027 (6): some 150 octets cross for a certificate. What it costs to sign, to judge and to answer is printed.
#[test]
fn what_a_certificate_costs() {
    let count = u32::try_from(support::budget::count("presigned-certificates")).unwrap();
    let mut zones = Zones::new(count);
    let begun = Instant::now();
    assert_eq!(zones.sign(START), u64::from(count));
    let signed = begun.elapsed();
    let lengths = Wave::all().filter_map(|wave| Some(fs::metadata(zones.file(wave)).ok()?.len()));
    let octets: u64 = lengths.sum();
    let waves = u64::try_from(Wave::all().count()).unwrap();
    assert!(octets <= waves * BESIDE + u64::from(count) * 150, "{octets} octets");

    let begun = Instant::now();
    assert!(zones.refused(START).is_empty());
    let taken = begun.elapsed();
    let asked: Vec<u32> =
        (0..count).step_by(usize::try_from(count / 200).unwrap().max(1)).collect();
    let begun = Instant::now();
    assert!(asked.iter().all(|number| zones.given(*number) == Some(CertStatus::Good)));
    let given = begun.elapsed() / u32::try_from(asked.len()).unwrap();
    println!(
        "measured: {count} certificates: signed in {signed:.1?}, {octets} octets, taken outside in {taken:.1?}, an answer read and verified in {given:.0?}"
    );
}
