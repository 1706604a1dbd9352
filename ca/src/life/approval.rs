//! A request for another person's approval (*godkännande*): from the one who asks to the call that it was asked for.

use x509::time::UnixTime;

use super::machine::{Named, Stage, Word};

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApprovalStage {
    /// Somebody has asked, nobody has decided.
    Waiting,
    /// Another person has approved; the call has not come.
    Approved,
    /// Another person has said no.
    Rejected,
    /// Who asked has taken it back.
    Withdrawn,
    /// Its time is over.
    Expired,
    /// The call has come.
    Used,
}

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApprovalAct {
    /// Somebody asks.
    Ask,
    /// Another person approves.
    Approve,
    /// Another person says no, before the call also to what was approved.
    Reject,
    /// Who asked takes it back.
    Withdraw,
    /// The call comes.
    Use,
    /// Nobody decided or called in time.
    LetLapse,
}

impl ApprovalStage {
    /// Where a request stands at `now` that was written down at `self` and ends at `ends`: what is over in time is over without an act.
    #[must_use]
    pub fn at(self, ends: UnixTime, now: UnixTime) -> Self {
        let lapsed = Self::step(Some(self), ApprovalAct::LetLapse, ());
        lapsed.filter(|_| now >= ends).unwrap_or(self)
    }

    /// The stage of a word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|stage| stage.word().name == name)
    }
}

impl Named for ApprovalStage {
    fn word(self) -> Word {
        match self {
            Self::Waiting => Word::new("waiting", "Väntar på godkännande"),
            Self::Approved => Word::new("approved", "Godkänd"),
            Self::Rejected => Word::new("rejected", "Avslagen"),
            Self::Withdrawn => Word::new("withdrawn", "Återtagen"),
            Self::Expired => Word::new("expired", "Utgången"),
            Self::Used => Word::new("used", "Utförd"),
        }
    }
}

impl Named for ApprovalAct {
    fn word(self) -> Word {
        match self {
            Self::Ask => Word::new("ask", "Begär godkännande"),
            Self::Approve => Word::new("approve", "Godkänn"),
            Self::Reject => Word::new("reject", "Avslå"),
            Self::Withdraw => Word::new("withdraw", "Återta"),
            Self::Use => Word::new("use", "Utför"),
            Self::LetLapse => Word::new("let-lapse", "Gå ut"),
        }
    }
}

impl Stage for ApprovalStage {
    type Act = ApprovalAct;
    type Way = ();

    const THING: Word = Word::new("approval", "Godkännande av två personer");
    const ALL: &'static [Self] = &[
        Self::Waiting,
        Self::Approved,
        Self::Rejected,
        Self::Withdrawn,
        Self::Expired,
        Self::Used,
    ];
    const ACTS: &'static [ApprovalAct] = &[
        ApprovalAct::Ask,
        ApprovalAct::Approve,
        ApprovalAct::Reject,
        ApprovalAct::Withdraw,
        ApprovalAct::Use,
        ApprovalAct::LetLapse,
    ];
    const WAYS: &'static [()] = &[()];

    fn step(from: Option<Self>, act: ApprovalAct, (): ()) -> Option<Self> {
        use ApprovalAct as Act;
        match (from, act) {
            (None, Act::Ask) => Some(Self::Waiting),
            (Some(Self::Waiting), Act::Approve) => Some(Self::Approved),
            (Some(Self::Approved), Act::Use) => Some(Self::Used),
            (Some(Self::Waiting | Self::Approved), Act::Reject) => Some(Self::Rejected),
            (Some(Self::Waiting | Self::Approved), Act::Withdraw) => Some(Self::Withdrawn),
            (Some(Self::Waiting | Self::Approved), Act::LetLapse) => Some(Self::Expired),
            _ => None,
        }
    }
}
