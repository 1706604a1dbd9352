//! Who asks, and what it may ask for (API-04). How a caller is recognised is `http`'s matter.

use std::sync::Arc;

use ca::actor::Demand;
use ca::organisation::Scope;
use ca::refusal::Refusal;
use ca::revocation::Revoker;
use ca::role::Protected;
use status::VantageName;
use store::OrganisationId;
use x509::certificate::Certificate;
use x509::key::SpkiHash;

use super::actor::Acting;
use crate::denied::{Denied, Kind};

/// A known caller and what it may do.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Its configured name.
    pub(crate) name: String,
    /// Profiles that it may order.
    pub(crate) profiles: Arc<[String]>,
    /// Whether it may revoke.
    pub(crate) revoke: bool,
    /// Whether it may end holds.
    pub(crate) release: bool,
    /// As who it revokes.
    pub(crate) revoker: Revoker,
    /// Whether it may read certificates and lists.
    pub(crate) read: bool,
    /// The vantage point that it is.
    pub(crate) vantage: Option<VantageName>,
    /// The organisations that it has a role over; `None` where it is limited to none, and sees none.
    pub(crate) organisations: Option<Arc<[OrganisationId]>>,
    /// Whether it may change what lies under them.
    pub(crate) organise: bool,
    /// Which of its calls need the statement of an administrator.
    pub(crate) statements: Demand,
    /// Who signed for this call.
    pub(crate) acting: Option<Arc<Acting>>,
    /// Its key in the configuration.
    pub(crate) pinned: SpkiHash,
    /// The certificate that it came with.
    pub(crate) certificate: Arc<Certificate>,
}

/// What a vantage point calls, as the router names it: it stands in the outer zone, and whoever breaks into it has its key.
const OF_A_VANTAGE_POINT: [&str; 3] =
    ["/v1/probe/work", "/v1/probe/observations", "/v1/clients/self/renewal"];

impl Caller {
    /// Refuses a vantage point that may do nothing else every route but its own, those included that ask for no right.
    pub(crate) fn may_call(&self, route: &str) -> Result<(), Denied> {
        let rights = [self.read, self.revoke, self.release, self.is_operator(), self.organise];
        let more = rights.contains(&true) || self.organisations.is_some();
        let is_that_alone = self.vantage.is_some() && !more && self.profiles.is_empty();
        if is_that_alone && !OF_A_VANTAGE_POINT.contains(&route) {
            return Err(self.forbidden(&format!("call {route}"), "read"));
        }
        Ok(())
    }

    /// Holds the call to what the one who signed for it may: a role on an organisation makes it one of a client that is limited to that.
    pub(crate) fn act_by(&mut self, acting: Acting) {
        if let Some(organisation) = acting.organisation {
            self.organisations = Some(Arc::from([organisation]));
            self.revoker = Revoker::Client;
        }
        self.acting = Some(Arc::new(acting));
    }

    /// Refuses a caller that may not read.
    pub(crate) fn must_read(&self) -> Result<(), Denied> {
        if self.read { Ok(()) } else { Err(self.forbidden("read certificates", "read")) }
    }

    /// Refuses `act`, which shows what is of all organisations, to a caller that is limited to some, or may not read.
    pub(crate) fn must_read_all(&self, act: &str) -> Result<(), Denied> {
        self.must_read()?;
        match self.limited_to() {
            None => Ok(()),
            Some(_) => Err(self.forbidden(act, "organisations")),
        }
    }

    /// Refuses a caller that may not revoke.
    pub(crate) fn must_revoke(&self) -> Result<(), Denied> {
        if self.revoke { Ok(()) } else { Err(self.forbidden("revoke", "revoke")) }
    }

    /// The vantage point that the caller is; refuses every other caller.
    pub(crate) fn must_be_a_vantage_point(&self) -> Result<VantageName, Denied> {
        let act = "look for the CA";
        self.vantage.clone().ok_or_else(|| self.forbidden(act, "vantage"))
    }

    /// Refuses a caller that may not end holds.
    pub(crate) fn must_release(&self) -> Result<(), Denied> {
        if self.release { Ok(()) } else { Err(self.forbidden("end a hold", "release")) }
    }

    /// Whether an operator of the PKI stands behind it.
    pub(crate) fn is_operator(&self) -> bool {
        self.revoker == Revoker::Operator
    }

    /// Refuses `act` to a caller without an operator behind it.
    pub(crate) fn must_operate(&self, act: &str) -> Result<(), Denied> {
        if self.is_operator() { Ok(()) } else { Err(self.forbidden(act, "operator")) }
    }

    /// Whether protected persons are there for it: for an administrator whose role has them added, and for nobody else.
    pub(crate) fn protected(&self) -> Protected {
        self.acting.as_ref().map_or(Protected::Unseen, |acting| acting.acts.protected())
    }

    /// The organisations that it is limited to, with what lies under them; `None` where it is limited to none, as an operator is.
    pub(crate) fn limited_to(&self) -> Option<&[OrganisationId]> {
        self.organisations.as_deref().filter(|_| !self.is_operator())
    }

    /// Over which organisations it has a role: an operator over all.
    pub(crate) fn scope(&self) -> Scope<OrganisationId> {
        if self.is_operator() {
            return Scope::All;
        }
        Scope::Under(self.organisations.as_deref().unwrap_or_default().to_vec())
    }

    /// Refuses a caller that may not change organisations.
    pub(crate) fn must_organise(&self) -> Result<(), Denied> {
        if self.organise || self.is_operator() {
            return Ok(());
        }
        Err(self.forbidden("change organisations", "organise"))
    }

    /// Refuses a caller that may order nothing at all, before anything of its call is stored.
    pub(crate) fn must_order_something(&self) -> Result<(), Denied> {
        if self.profiles.is_empty() {
            return Err(self.forbidden("order certificates", "profiles"));
        }
        Ok(())
    }

    /// Refuses a caller that may not order `profile`.
    pub(crate) fn must_order(&self, profile: &str) -> Result<(), Denied> {
        if self.profiles.iter().any(|allowed| allowed == profile) {
            Ok(())
        } else {
            Err(self.forbidden(&format!("order {profile}"), "profiles"))
        }
    }

    fn forbidden(&self, act: &str, key: &str) -> Denied {
        Denied::new(
            Kind::Forbidden,
            Refusal::new(
                "client-not-allowed",
                "API-04: a client may do what its configuration lists",
                &format!("client {} wants to {act}", self.name),
                format!("`{key}` of this client in the configuration of sigill-ca"),
                "use a client that may, or have an operator change the configuration",
            ),
        )
    }
}
