//! An order for an eID: from who wants it for whom, over who approved it, to the holder who uses it.

use super::machine::{Named, Stage, Word};
use crate::routine::ReceiptRule;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderStage {
    /// Somebody wants it.
    Ordered,
    /// It has been shown who the holder is.
    Identified,
    /// All have approved whom its routine asks for.
    Approved,
    /// The holder has given the receipt.
    Receipted,
    /// The certificates are issued.
    Issued,
    /// The carrier is in the holder's hands.
    Delivered,
    /// The holder uses the eID; nothing is left to do.
    Completed,
    /// Taken back. What had been issued for it is revoked.
    Cancelled,
    /// Not finished in time. What had been issued for it is revoked.
    Expired,
}

/// What is done to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderAct {
    /// It is made.
    Order,
    /// Evidence of who the holder is comes in.
    Identify,
    /// The last approval that its routine asks for comes in; where it asks for none, with the evidence.
    Approve,
    /// The holder's receipt (*kvittens*) comes in.
    TakeReceipt,
    /// The certificates are issued.
    Issue,
    /// The carrier comes into the holder's hands.
    Deliver,
    /// The holder takes the eID into use.
    Activate,
    /// It is taken back.
    Cancel,
    /// Its time is over.
    Expire,
}

impl Named for OrderStage {
    fn word(self) -> Word {
        match self {
            Self::Ordered => Word::new("ordered", "Beställd"),
            Self::Identified => Word::new("identified", "Identifierad"),
            Self::Approved => Word::new("approved", "Godkänd"),
            Self::Receipted => Word::new("receipted", "Kvitterad"),
            Self::Issued => Word::new("issued", "Utfärdad"),
            Self::Delivered => Word::new("delivered", "Utlämnad"),
            Self::Completed => Word::new("completed", "Slutförd"),
            Self::Cancelled => Word::new("cancelled", "Borttagen"),
            Self::Expired => Word::new("expired", "Förfallen"),
        }
    }
}

impl Named for OrderAct {
    fn word(self) -> Word {
        match self {
            Self::Order => Word::new("order", "Beställ"),
            Self::Identify => Word::new("identify", "Identifiera"),
            Self::Approve => Word::new("approve", "Godkänn"),
            Self::TakeReceipt => Word::new("take-receipt", "Ta emot kvittens"),
            Self::Issue => Word::new("issue", "Utfärda"),
            Self::Deliver => Word::new("deliver", "Lämna ut"),
            Self::Activate => Word::new("activate", "Aktivera"),
            Self::Cancel => Word::new("cancel", "Ta bort beställning"),
            Self::Expire => Word::new("expire", "Låt förfalla"),
        }
    }
}

impl Named for ReceiptRule {
    fn word(self) -> Word {
        match self {
            Self::BeforeIssuing => Word::new("receipt-before-issuing", "Kvittens före utfärdande"),
            Self::AfterIssuing => Word::new("receipt-after-issuing", "Kvittens efter utfärdande"),
            Self::None => Word::new("no-receipt", "Utan kvittens"),
        }
    }
}

impl Stage for OrderStage {
    type Act = OrderAct;
    type Way = ReceiptRule;

    const THING: Word = Word::new("order", "Beställning");
    const ALL: &'static [Self] = &[
        Self::Ordered,
        Self::Identified,
        Self::Approved,
        Self::Receipted,
        Self::Issued,
        Self::Delivered,
        Self::Completed,
        Self::Cancelled,
        Self::Expired,
    ];
    const ACTS: &'static [OrderAct] = &[
        OrderAct::Order,
        OrderAct::Identify,
        OrderAct::Approve,
        OrderAct::TakeReceipt,
        OrderAct::Issue,
        OrderAct::Deliver,
        OrderAct::Activate,
        OrderAct::Cancel,
        OrderAct::Expire,
    ];
    const WAYS: &'static [ReceiptRule] =
        &[ReceiptRule::BeforeIssuing, ReceiptRule::AfterIssuing, ReceiptRule::None];

    fn step(from: Option<Self>, act: OrderAct, way: ReceiptRule) -> Option<Self> {
        use OrderAct as Act;
        use ReceiptRule::{AfterIssuing, BeforeIssuing};

        match (from, act, way) {
            (None, Act::Order, _) => Some(Self::Ordered),
            (Some(Self::Ordered), Act::Identify, _) => Some(Self::Identified),
            (Some(Self::Identified), Act::Approve, _) => Some(Self::Approved),
            (Some(Self::Approved), Act::TakeReceipt, BeforeIssuing)
            | (Some(Self::Delivered), Act::TakeReceipt, AfterIssuing) => Some(Self::Receipted),
            (Some(Self::Receipted), Act::Issue, BeforeIssuing)
            | (Some(Self::Approved), Act::Issue, AfterIssuing | ReceiptRule::None) => {
                Some(Self::Issued)
            }
            (Some(Self::Issued), Act::Deliver, _) => Some(Self::Delivered),
            (Some(Self::Receipted), Act::Activate, AfterIssuing)
            | (Some(Self::Delivered), Act::Activate, BeforeIssuing | ReceiptRule::None) => {
                Some(Self::Completed)
            }
            (Some(Self::Completed | Self::Cancelled | Self::Expired), ..) => None,
            // Without a receipt no order stands at it.
            (Some(Self::Receipted), Act::Cancel | Act::Expire, ReceiptRule::None) => None,
            (Some(_), Act::Cancel, _) => Some(Self::Cancelled),
            (Some(_), Act::Expire, _) => Some(Self::Expired),
            _ => None,
        }
    }
}
