//! What all tables of stages have in common, and how one is written out.

/// One thing in the two languages in which people read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// In files, in JSON and in code: lower-case words joined by hyphens.
    pub name: &'static str,
    /// As card administrators read it.
    pub swedish: &'static str,
}

impl Word {
    /// A name and its Swedish.
    #[must_use]
    pub const fn new(name: &'static str, swedish: &'static str) -> Self {
        Self { name, swedish }
    }
}

/// Something that people have a word for.
pub trait Named: Copy + Eq + 'static {
    /// The word.
    fn word(self) -> Word;
}

/// Where a thing stands.
pub trait Stage: Named {
    /// What moves it.
    type Act: Named;
    /// What decides, besides, which steps there are: the kind of carrier, the rule of the receipt.
    type Way: Named;

    /// What stands there.
    const THING: Word;
    /// Every stage.
    const ALL: &'static [Self];
    /// Every act.
    const ACTS: &'static [Self::Act];
    /// Every way.
    const WAYS: &'static [Self::Way];

    /// Where `act` leads a thing that stands at `from` (`None`: that is not there yet); `None` where the act
    /// is not legal. Nothing is legal twice.
    fn step(from: Option<Self>, act: Self::Act, way: Self::Way) -> Option<Self>;

    /// Whether nothing leads out of it, by any way.
    #[must_use]
    fn is_final(self) -> bool {
        let leads = |act: &Self::Act| {
            Self::WAYS.iter().any(|way| Self::step(Some(self), *act, *way).is_some())
        };
        !Self::ACTS.iter().any(leads)
    }
}

/// A table, written out from the code that decides by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What it is of.
    pub thing: Word,
    /// Where it can stand.
    pub stages: Vec<StageRow>,
    /// Every legal step; all others are not.
    pub steps: Vec<StepRow>,
}

/// A stage of a [`Machine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageRow {
    /// Its word.
    pub word: Word,
    /// Whether nothing leads out of it.
    pub is_final: bool,
}

/// A step of a [`Machine`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    /// From where; `None`: the thing comes into being.
    pub from: Option<Word>,
    /// By what.
    pub act: Word,
    /// By which ways, where not by all.
    pub ways: Vec<Word>,
    /// To where.
    pub to: Word,
}

impl Machine {
    /// The table of `S`, asked of [`Stage::step`] pair by pair.
    #[must_use]
    pub fn of<S: Stage>() -> Self {
        let stages = S::ALL
            .iter()
            .map(|stage| StageRow { word: stage.word(), is_final: stage.is_final() })
            .collect();
        let froms = std::iter::once(None).chain(S::ALL.iter().copied().map(Some));
        let pairs = froms.flat_map(|from| S::ACTS.iter().map(move |act| (from, *act)));
        let steps = pairs.flat_map(|(from, act)| {
            S::ALL.iter().filter_map(move |to| {
                let leads = |way: &&S::Way| S::step(from, act, **way) == Some(*to);
                let ways: Vec<Word> = S::WAYS.iter().filter(leads).map(|way| way.word()).collect();
                if ways.is_empty() {
                    return None;
                }
                Some(StepRow {
                    from: from.map(S::word),
                    act: act.word(),
                    ways: if ways.len() == S::WAYS.len() { Vec::new() } else { ways },
                    to: to.word(),
                })
            })
        });
        Self { thing: S::THING, stages, steps: steps.collect() }
    }
}
