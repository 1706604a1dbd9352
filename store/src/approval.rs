//! Requests for another person's approval, as rows. Who may decide on what is for `ca::four_eyes` to say; here it is held against the database in the
//! act that writes it down.

use ca::four_eyes::CallHash;
use ca::life::{ApprovalAct, ApprovalStage};
use ca::role::Protected;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::{ApprovalId, CertificateId, OrderId, OrganisationId};
use crate::sealing::{IndexTerm, Subject};

/// What somebody asks to have approved.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// Its id: that of the order of the call that asks.
    pub id: ApprovalId,
    /// The operation, as the contract names it.
    pub operation: String,
    /// The hash of the call.
    pub hash: CallHash,
    /// The organisations that the asker is limited to; `None`: he reaches everywhere.
    pub organisations: Option<Vec<OrganisationId>>,
    /// Whether protected persons are there for him.
    pub protected: Protected,
    /// Who asks, by the name that the CA knows him by. His statement was taken before.
    pub by: IndexTerm,
    /// The eID that he signed with.
    pub eid: Option<CertificateId>,
    /// The first second at which it counts no more.
    pub ends: UnixTime,
    /// Who he is, the call and why; it lies sealed.
    pub said: Vec<u8>,
    /// Whose that is.
    pub subject: Subject,
}

/// A decision on a request, or its withdrawal.
#[derive(Clone, Debug)]
pub struct ApprovalMove {
    /// Which.
    pub id: ApprovalId,
    /// What is done.
    pub act: ApprovalAct,
    /// The order of the call that does it: repeated, it finds it done.
    pub call: OrderId,
    /// Who does it. His statement was taken before.
    pub by: IndexTerm,
    /// The eID that he signed with.
    pub eid: Option<CertificateId>,
    /// Who he is, in which role, and why; it lies sealed.
    pub said: Vec<u8>,
    /// Whose the request is.
    pub subject: Subject,
}

/// An approved call that has come.
#[derive(Clone, Debug)]
pub struct ApprovalUse {
    /// Which approval it names.
    pub id: ApprovalId,
    /// The order of the call.
    pub order: OrderId,
    /// The hash of the call.
    pub hash: CallHash,
    /// Who makes it. His statement was taken before.
    pub by: IndexTerm,
}

/// A request as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRow {
    /// Its id.
    pub id: ApprovalId,
    /// The operation, as the contract names it.
    pub operation: String,
    /// The hash of the call.
    pub hash: CallHash,
    /// The organisations that the asker was limited to; `None`: he reached everywhere.
    pub organisations: Option<Vec<OrganisationId>>,
    /// Whether protected persons were there for him.
    pub protected: Protected,
    /// Where it was put last; what is over in time is over without an act ([`ApprovalStage::at`]).
    pub stage: ApprovalStage,
    /// When it was asked for.
    pub created: UnixTime,
    /// The first second at which it counts no more.
    pub ends: UnixTime,
    /// When it was decided on or withdrawn last.
    pub moved: Option<UnixTime>,
    /// When the call came.
    pub used: Option<UnixTime>,
    /// The order of that call.
    pub used_by: Option<OrderId>,
    /// What was said when it was asked for; `None` once its subject's data key has been deleted.
    pub said: Option<Vec<u8>>,
    /// What was said with the last decision or the withdrawal.
    pub decision: Option<Vec<u8>>,
    /// Its place in a list.
    pub cursor: u64,
}

/// Why a request is not decided on, withdrawn or used. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalFault {
    /// There is none of this id.
    Unknown,
    /// It does not follow where the request stands.
    Stage(ApprovalStage),
    /// The one who asked decides, by whatever name or eID.
    Own,
    /// Another person than the one who asked withdraws it or makes the call.
    NotAsker,
    /// Another call than the approved one.
    Differs(CallHash),
    /// It was used for another call under another key.
    UsedBefore,
    /// The eID of the one who approved it does not hold any more.
    ApproverEnded,
}

/// What an act came to that the store judges.
pub type JudgedApproval<T> = Result<Result<T, ApprovalFault>, StoreError>;

/// The part of [`Store`](crate::Store) that keeps requests for approval.
pub trait Approvals {
    /// Writes down that somebody asks. A call that has done so already changes nothing.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn ask_approval(
        &self,
        new: &NewApproval,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<ApprovalRow, StoreError>;

    /// Approves, rejects or withdraws. A call that has done so already changes nothing.
    ///
    /// # Errors
    ///
    /// Storage errors; within, [`ApprovalFault`].
    fn move_approval(
        &self,
        change: &ApprovalMove,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> JudgedApproval<ApprovalRow>;

    /// Uses an approval for the order of a call, once: the same order finds it used.
    ///
    /// # Errors
    ///
    /// Storage errors; within, [`ApprovalFault`].
    fn use_approval(
        &self,
        used: &ApprovalUse,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> JudgedApproval<()>;

    /// A request.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalRow>, StoreError>;

    /// Requests, newest first, before the cursor of one; at most `limit` (up to 1000).
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn approvals(&self, before: Option<u64>, limit: u32) -> Result<Vec<ApprovalRow>, StoreError>;
}
