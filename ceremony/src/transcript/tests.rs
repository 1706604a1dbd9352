//! A transcript on two media, with the faults that media have.

use std::fs;

use ceremony_core::attendance::{PRODUCTION, REHEARSAL};

use super::*;

fn text(name: &'static str, text: &str) -> (&'static str, Fact) {
    (name, text.into())
}

fn genesis(transcript: &mut Transcript<'_>) {
    let plan = "5a".repeat(32);
    let facts = [
        text("format", FORMAT),
        text("deployment", "test/demo/ab12"),
        text("purpose", "rehearsal"),
        text("plan", &plan),
        text("program", "1"),
    ];
    transcript.write(Kind::Genesis, &facts).unwrap();
}

/// Two files in two folders, as on two media.
struct Media {
    folder: tempfile::TempDir,
    paths: [PathBuf; 2],
}

impl Media {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["first", "second"].map(|name| folder.path().join(name));
        Self { folder, paths }
    }

    fn three_lines(&self) {
        let mut transcript = Transcript::open(&self.paths).unwrap();
        genesis(&mut transcript);
        for what in ["one", "two"] {
            transcript.write(Kind::Check, &[text("what", what)]).unwrap();
        }
    }

    fn read(&self) -> [Vec<u8>; 2] {
        self.paths.each_ref().map(|path| fs::read(path).unwrap())
    }

    fn refused(&self) -> String {
        let error = Transcript::open(&self.paths).err().expect("it is refused");
        let stopped = error.downcast_ref::<Stopped>().unwrap();
        assert_eq!((stopped.refusal.code(), stopped.refusal.exit_code()), ("R17", 18));
        stopped.refused.clone()
    }
}

#[test]
fn goes_on_after_a_torn_last_line() {
    let media = Media::new();
    media.three_lines();
    for path in &media.paths {
        let mut octets = fs::read(path).unwrap();
        octets.extend_from_slice(b"{\"body\":{\"wh");
        fs::write(path, octets).unwrap();
    }

    let mut transcript = Transcript::open(&media.paths).unwrap();

    assert_eq!(transcript.head().0, 3);
    transcript.write(Kind::Resume, &[]).unwrap();
    let [first, second] = media.read();
    assert_eq!(first, second);
    assert_eq!(Transcript::open(&media.paths).unwrap().head().0, 4);
}

/// A kill between the two media leaves one a line behind, and a fresh medium has none.
#[test]
fn a_copy_that_is_behind_is_brought_abreast() {
    let media = Media::new();
    media.three_lines();
    let [whole, _] = media.read();
    let second_line = whole.iter().position(|octet| *octet == b'\n').unwrap() + 1;
    for behind in [0, second_line, whole.len() - 1] {
        fs::write(&media.paths[1], &whole[..behind]).unwrap();

        let transcript = Transcript::open(&media.paths).unwrap();

        assert_eq!(transcript.head().0, 3);
        assert_eq!(media.read(), [whole.clone(), whole.clone()]);
    }
}

/// N18, R17: whoever has the mirror during a break writes nothing into the ceremony. Only a home that was lost is made anew from it, and not
/// without a word.
#[test]
fn a_mirror_that_is_ahead_of_its_home_is_refused() {
    let media = Media::new();
    media.three_lines();
    let [whole, _] = media.read();
    let mut appended = Transcript::open(&media.paths[1..]).unwrap();
    appended.write(Kind::Resume, &[]).unwrap();
    let before = media.read();

    let said = media.refused();

    assert!(said.contains("first is ahead of it: 4 lines, and 3 in the home"), "{said}");
    assert_eq!(media.read(), before, "neither was touched");
    for lost in [Vec::new(), [&whole[..], b"{\"body\":{\"wh"].concat()] {
        fs::write(&media.paths[0], &lost).unwrap();
        let taken = Transcript::open(&media.paths).unwrap();
        assert_eq!((taken.head().0, taken.restored.as_ref()), (4, Some(&media.paths[0])));
        assert_eq!(media.read()[0], before[1]);
    }
    assert_eq!(Transcript::open(&media.paths).unwrap().restored, None);
    // Of what came to its end nothing can be told any more.
    appended = Transcript::open(&media.paths).unwrap();
    appended.write(Kind::Resume, &[]).unwrap();
    appended.write_head(Kind::Close).unwrap();
    fs::write(&media.paths[0], b"").unwrap();
    assert!(media.refused().contains("6 lines, and 0 in the home"));
}

/// What goes on from the mirror alone says so in its next line but the RESUME.
#[test]
fn a_home_that_is_made_anew_is_told_of() {
    let plan = include_bytes!("../../../docs/ceremonies/plans/c1-root-key.toml");
    let plan = Plan::read(plan).unwrap();
    let media = Media::new();
    let kinds = || {
        drop(Transcript::begin_held(&media.paths, &plan, REHEARSAL, None).unwrap());
        let [home, mirror] = media.read();
        assert_eq!(home, mirror);
        let records = Whole::read(&home).unwrap().records;
        records.iter().map(|record| record.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(), [Kind::Genesis]);
    fs::remove_file(&media.paths[0]).unwrap();
    assert_eq!(kinds(), [Kind::Genesis, Kind::Resume, Kind::Exception]);
    let [home, _] = media.read();
    let told = String::from_utf8(home).unwrap();
    assert!(told.lines().next_back().unwrap().contains("the home's transcript was lost"), "{told}");
}

/// N18, R17.
#[test]
fn copies_that_differ_are_refused_with_the_line() {
    let media = Media::new();
    media.three_lines();
    let other = Media::new();
    let mut transcript = Transcript::open(&other.paths).unwrap();
    genesis(&mut transcript);
    transcript.write(Kind::Check, &[text("what", "otherwise")]).unwrap();
    fs::copy(&other.paths[0], &media.paths[1]).unwrap();
    let before = media.read();

    let said = media.refused();

    assert!(said.contains("second") && said.contains("line 2"), "{said}");
    assert_eq!(media.read(), before, "neither was touched");
}

/// N17.
#[test]
fn a_transcript_that_was_changed_is_refused_with_the_line() {
    let media = Media::new();
    media.three_lines();
    let text = String::from_utf8(media.read()[0].clone()).unwrap();
    for path in &media.paths {
        fs::write(path, text.replacen("\"one\"", "\"off\"", 1)).unwrap();
    }

    let said = media.refused();

    assert!(said.contains("line 3"), "{said}");
}

/// The real fault: a device that is full, in the place of a medium that was pulled out.
#[test]
fn one_medium_may_be_lost_on_the_way_and_is_told_of() {
    let media = Media::new();
    media.three_lines();
    let mut transcript = Transcript::open(&media.paths).unwrap();
    transcript.write(Kind::Resume, &[]).unwrap();
    transcript.media[1].file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());

    transcript.write(Kind::Check, &[text("what", "goes on")]).unwrap();

    assert_eq!(transcript.head().0, 6);
    transcript.write(Kind::Check, &[text("what", "goes on still")]).unwrap();
    let said = String::from_utf8(media.read()[0].clone()).unwrap();
    let told = said.lines().nth(5).unwrap();
    for part in
        ["\"type\":\"EXCEPTION\"", "a medium of the transcript is lost", "second", "No space"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }

    // When the last one is lost nothing may be done, and a line that was not written is no line.
    let head = transcript.head();
    transcript.media[0].file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let lost = transcript.write(Kind::Check, &[text("what", "nowhere")]).unwrap_err();
    assert!(matches!(lost, TranscriptError::Write { .. }), "{lost}");
    assert_eq!(transcript.head(), head);
    let again = transcript.write(Kind::Check, &[]).unwrap_err();
    assert!(matches!(again, TranscriptError::NoMedium), "{again}");
    drop(media.folder);
}

/// What a rehearsal wrote is not gone on with where it counts.
#[test]
fn a_transcript_of_another_purpose_is_not_gone_on_with() {
    let text = include_bytes!("../../../docs/ceremonies/plans/c1-root-key.toml");
    let plan = Plan::read(text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("transcript.jsonl")];
    Transcript::begin_held(&paths, &plan, REHEARSAL, None).unwrap();
    let before = fs::read(&paths[0]).unwrap();
    let Err(error) = Transcript::begin_held(&paths, &plan, PRODUCTION, None) else {
        panic!("it was taken")
    };
    assert_eq!(error.downcast_ref::<Stopped>().unwrap().refusal.code(), "R07", "{error}");
    assert_eq!(fs::read(&paths[0]).unwrap(), before);
    Transcript::begin_held(&paths, &plan, REHEARSAL, None).unwrap();
}
