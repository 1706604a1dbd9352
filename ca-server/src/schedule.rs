//! What happens by the clock: CRLs when due, leases, intents that came to nothing, delegates.
//!
//! One thread, two rounds a second. A round never fails as a whole: each part that fails is logged
//! once, counted, and tried again in its own time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ca::refusal::Refusal;
use host::vital;

use crate::denied::{Denied, Kind};
use crate::service::Service;
use crate::service::authority::Authority;

/// One round.
const ROUND: Duration = Duration::from_millis(500);
/// A lease lasts 30 s.
const RENEW_LEASE_EVERY: Duration = Duration::from_secs(8);
/// How often intents of others and failing ones are looked for.
const VOID_EVERY: Duration = Duration::from_secs(5);
/// A CRL or delegate that failed is tried again after this long.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How often a failing token is asked whether it signs again: one proof of each key.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// How often a management key that does not sign is asked whether it does again.
const MANAGEMENT_AGAIN: Duration = Duration::from_secs(5);
/// How often tokens that stand by, and the management CA's, are asked whether the keys are still there: one
/// proof of each key.
const STAND_BYS_EVERY: Duration = Duration::from_secs(600);
/// How often orders are looked for whose deadline is over.
const OVERDUE_EVERY: Duration = Duration::from_secs(60);
/// How often scheduled revocations are looked for whose second has come.
const SCHEDULED_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at what the world does not show yet.
const RECEIPTS_EVERY: Duration = Duration::from_secs(5);
/// How often the issuers' certificates in the publication tree are looked at.
const ISSUERS_EVERY: Duration = Duration::from_secs(60);
/// A survey of keys begins once in the hour of the night that is its.
const SURVEY_EVERY: Duration = Duration::from_secs(7200);
/// How often the set of test certificates is looked at, and gone on with where one is being made.
const TEST_CERTIFICATES_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked whether a trial revocation is due.
const TRIALS_EVERY: Duration = Duration::from_secs(5);
/// A server certificate that could not be renewed is tried again after this long.
const RENEW_AGAIN: Duration = Duration::from_secs(60);
/// How often the log is told again of a clock that cannot be trusted.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// How often the log is told of authorities that issue no more, or soon will not.
const REMIND_OF_ENDS_EVERY: Duration = Duration::from_secs(3600);
/// How often the lists of shards are looked at.
const SHARDS_EVERY: Duration = Duration::from_secs(2);
/// Revocations that come closer than this share a CRL.
const CRL_GAP: Duration = Duration::from_secs(2);

/// Makes the tasks and the list of all of them from one list: none can be forgotten in the other.
macro_rules! tasks {
    ($($(#[$what:meta])* $task:ident = $name:literal),* $(,)?) => {
        /// A part of a round, beside the CRL of each authority.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Task {
            $($(#[$what])* $task),*
        }

        impl Task {
            const ALL: &[Self] = &[$(Self::$task),*];

            /// As logs and metrics name it.
            const fn name(self) -> &'static str {
                match self {
                    $(Self::$task => $name),*
                }
            }
        }
    };
}

tasks! {
    Clock = "clock",
    Counts = "counts",
    Delegates = "delegates",
    EidOrders = "eid-orders",
    Issuers = "issuers",
    KeySurvey = "key-survey",
    KeyUse = "key-use",
    Lease = "lease",
    Management = "management",
    ManagementKey = "management-key",
    OfflineCrls = "offline-crls",
    Orders = "orders",
    Receipts = "receipts",
    ScheduledRevocations = "scheduled-revocations",
    Signing = "signing",
    Statements = "actor-statements",
    TestCertificates = "test-certificates",
    Trials = "trial-revocations",
    TrialWatch = "trial-revocations-watch",
    Void = "void",
}

/// The task that keeps the CRL of an authority.
fn crl_of(authority: &str) -> String {
    format!("crl {authority}")
}

/// The task that keeps the lists of an authority's shards.
fn shards_of(authority: &str) -> String {
    format!("crl shards {authority}")
}

/// Puts the counter of each part's failures at 0.
pub(crate) fn start_alarms<'a>(authorities: impl Iterator<Item = &'a str>) {
    let tasks = Task::ALL.iter().map(|task| task.name().to_owned());
    let lists = authorities.flat_map(|authority| [crl_of(authority), shards_of(authority)]);
    for task in tasks.chain(lists) {
        metrics::counter!("sigill_schedule_failures_total", "task" => task).absolute(0);
    }
}

/// Starts the schedule; it ends when `stop` turns true.
///
/// # Errors
///
/// The operating system's, when no thread can be made.
pub(crate) fn start(
    service: Arc<Service>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    let signing = service.authorities.values().filter(|authority| authority.signs_here());
    start_alarms(signing.map(|authority| authority.name()));
    vital::spawn("schedule", move || {
        let mut schedule = Schedule::new(service);
        schedule.stop = Arc::clone(&stop);
        while !stop.load(Ordering::Relaxed) {
            schedule.round(Instant::now());
            std::thread::sleep(ROUND);
        }
        schedule.end();
    })
}

/// Asks tokens that fail, or that nobody asks, whether they sign, beside the rounds: a token that does not answer holds
/// up nothing else.
#[derive(Default)]
struct Probe {
    begun: Option<Instant>,
    /// How many in a row have failed.
    failed: u32,
    under_way: Option<JoinHandle<Result<(), Denied>>>,
}

impl Probe {
    /// What a probe of the authorities' keys came to; begins the next when it is due.
    fn round(&mut self, service: &Arc<Service>, now: Instant) -> Option<Result<(), Denied>> {
        let ended = self.ended();
        if ended.is_some() {
            return ended;
        }
        if !service.wants_proofs(now) {
            return Some(Ok(()));
        }
        let service = Arc::clone(service);
        self.begin(PROBE_EVERY, now, move || service.probe_signing(now));
        None
    }

    /// What a probe of the management CA's key came to; begins the next when it is due.
    fn management_round(
        &mut self,
        service: &Arc<Service>,
        now: Instant,
    ) -> Option<Result<(), Denied>> {
        let ended = self.ended();
        if ended.is_none() && service.management_key().is_some() {
            let every = if service.is_renewing() { STAND_BYS_EVERY } else { MANAGEMENT_AGAIN };
            let service = Arc::clone(service);
            self.begin(every, now, move || service.prove_management_key());
        }
        ended
    }

    /// What a survey of keys came to; begins the next when it is time for it.
    fn survey_round(
        &mut self,
        service: &Arc<Service>,
        stop: &Arc<AtomicBool>,
        now: Instant,
    ) -> Option<Result<(), Denied>> {
        let ended = self.ended();
        if ended.is_none() && service.is_time_for_a_survey() {
            let (service, stop) = (Arc::clone(service), Arc::clone(stop));
            self.begin(SURVEY_EVERY, now, move || service.survey_keys(&stop));
        }
        ended
    }

    /// What the last look at the test certificates came to; begins the next when it is due.
    fn test_certificates_round(
        &mut self,
        service: &Arc<Service>,
        stop: &Arc<AtomicBool>,
        now: Instant,
    ) -> Option<Result<(), Denied>> {
        let ended = self.ended();
        if ended.is_none() && service.has_test_certificates() {
            let (service, stop) = (Arc::clone(service), Arc::clone(stop));
            let work = move || service.tend_test_certificates(&stop);
            self.begin(self.patience(TEST_CERTIFICATES_EVERY), now, work);
        }
        ended
    }

    /// What the last look at the trial revocations came to; begins the next when it is due.
    fn trials_round(
        &mut self,
        service: &Arc<Service>,
        stop: &Arc<AtomicBool>,
        now: Instant,
    ) -> Option<Result<(), Denied>> {
        let ended = self.ended();
        if ended.is_none() && service.has_trials() {
            let (service, stop) = (Arc::clone(service), Arc::clone(stop));
            self.begin(self.patience(TRIALS_EVERY), now, move || service.tend_trials(&stop));
        }
        ended
    }

    /// What the last look at overdue orders came to; begins the next when it is due. All orders of a day are over at the same second.
    fn overdue_round(
        &mut self,
        service: &Arc<Service>,
        stop: &Arc<AtomicBool>,
        now: Instant,
    ) -> Option<Result<(), Denied>> {
        let ended = self.ended();
        if ended.is_none() {
            let (service, stop) = (Arc::clone(service), Arc::clone(stop));
            self.begin(OVERDUE_EVERY, now, move || service.end_overdue_orders(&stop));
        }
        ended
    }

    /// What the last look at scheduled revocations came to; begins the next when it is due.
    fn scheduled_round(
        &mut self,
        service: &Arc<Service>,
        stop: &Arc<AtomicBool>,
        now: Instant,
    ) -> Option<Result<(), Denied>> {
        let ended = self.ended();
        if ended.is_none() {
            let (service, stop) = (Arc::clone(service), Arc::clone(stop));
            let work = move || service.strike_scheduled_revocations(&stop);
            self.begin(SCHEDULED_EVERY, now, work);
        }
        ended
    }

    fn ended(&mut self) -> Option<Result<(), Denied>> {
        let ended = self.under_way.take_if(|probe| probe.is_finished())?.join();
        let ended = ended.unwrap_or_else(|_| Err(crashed()));
        self.failed = if ended.is_ok() { 0 } else { self.failed.saturating_add(1) };
        Some(ended)
    }

    /// Twice as long with each failure in a row, up to 32 times `usual`: for work that nobody waits for.
    fn patience(&self, usual: Duration) -> Duration {
        usual * 2_u32.pow(self.failed.min(5))
    }

    /// Begins one, unless one is under way or began less than `every` ago.
    fn begin(
        &mut self,
        every: Duration,
        now: Instant,
        work: impl FnOnce() -> Result<(), Denied> + Send + 'static,
    ) {
        if self.under_way.is_some() || !due(self.begun, every, now) {
            return;
        }
        self.begun = Some(now);
        match std::thread::Builder::new().name("probe".to_owned()).spawn(work) {
            Ok(under_way) => self.under_way = Some(under_way),
            Err(error) => tracing::error!("no thread to ask the tokens: {error}"),
        }
    }

    fn end(self) {
        if let Some(under_way) = self.under_way {
            let _last = under_way.join();
        }
    }
}

/// Until when a CRL is not tried again.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    what: WaitsFor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    Time,
    /// Or sooner, once the authority's key may sign.
    Token,
}

/// What a probe that panicked has come to.
fn crashed() -> Denied {
    Denied::new(
        Kind::Internal,
        Refusal::new(
            "internal",
            "a defect of the program ended a task of the schedule",
            &"a panic",
            "a task that ends",
            "report the line above; the task is begun again",
        ),
    )
}

struct Schedule {
    service: Arc<Service>,
    clock: Option<Instant>,
    lease: Option<Instant>,
    void: Option<Instant>,
    probe: Probe,
    management_key: Probe,
    survey: Probe,
    test_certificates: Probe,
    trials: Probe,
    overdue: Probe,
    scheduled: Probe,
    stop: Arc<AtomicBool>,
    receipts: Option<Instant>,
    stand_bys: Option<Instant>,
    issuers: Option<Instant>,
    issuing: Option<Instant>,
    /// When the management plane may be looked after again, once it has failed.
    management: Option<Instant>,
    /// When each authority's CRL may be tried again.
    crl: BTreeMap<String, Pause>,
    /// When the lists of its shards are looked at again.
    shards: BTreeMap<String, Instant>,
    failing: BTreeMap<String, String>,
}

impl Schedule {
    fn new(service: Arc<Service>) -> Self {
        Self {
            service,
            clock: None,
            lease: None,
            void: None,
            probe: Probe::default(),
            // It has just proven itself.
            management_key: Probe { begun: Some(Instant::now()), ..Probe::default() },
            survey: Probe::default(),
            test_certificates: Probe::default(),
            trials: Probe::default(),
            overdue: Probe::default(),
            scheduled: Probe::default(),
            stop: Arc::default(),
            receipts: None,
            stand_bys: None,
            issuers: None,
            issuing: None,
            management: None,
            crl: BTreeMap::new(),
            shards: BTreeMap::new(),
            failing: BTreeMap::new(),
        }
    }

    fn round(&mut self, now: Instant) {
        let service = Arc::clone(&self.service);
        self.note(Task::Clock, service.watch_clock());
        if due(self.clock, REMIND_EVERY, now) {
            self.clock = Some(now);
            self.note(Task::Clock, service.remind_of_clock());
        }
        if due(self.lease, RENEW_LEASE_EVERY, now) {
            self.lease = Some(now);
            self.note(Task::Lease, service.renew_node_lease());
        }
        if due(self.void, VOID_EVERY, now) {
            self.void = Some(now);
            self.note(Task::Orders, service.open_left_orders());
            self.note(Task::Void, service.void_stale_intents());
            self.note(Task::Counts, service.observe_counts().and_then(|()| service.tell_pauses()));
            self.note(Task::KeyUse, service.reconcile_key_uses());
            service.audit_counted_refusals();
            service.audit_counted_delegate_refusals();
            self.management(&service, now);
        }
        if due(self.issuers, ISSUERS_EVERY, now) {
            self.issuers = Some(now);
            self.note(Task::Issuers, service.publish_issuers());
            self.note(Task::Statements, service.forget_statements());
            service.observe_issuing();
            self.note(Task::OfflineCrls, service.observe_offline_crls());
        }
        if due(self.issuing, REMIND_OF_ENDS_EVERY, now) {
            self.issuing = Some(now);
            service.remind_of_issuing();
            self.note(Task::OfflineCrls, service.remind_of_offline_crls());
        }
        // Proofs first: a CRL whose token hangs keeps this thread for a deadline, and they have their own.
        service.tell_readiness_to_sign();
        if let Some(outcome) = self.probe.round(&service, now) {
            self.note(Task::Signing, outcome);
        }
        service.ask_for_waiting_crls();
        self.crls(&service, now);
        self.shards(&service, now);
        service.observe_tokens();
        service.tell_management_reach();
        if let Some(outcome) = self.management_key.management_round(&service, now) {
            self.note(Task::ManagementKey, outcome);
        }
        if let Some(outcome) = self.survey.survey_round(&service, &self.stop, now) {
            self.note(Task::KeySurvey, outcome);
        }
        let looked = self.test_certificates.test_certificates_round(&service, &self.stop, now);
        if let Some(outcome) = looked {
            self.note(Task::TestCertificates, outcome);
        }
        if let Some(outcome) = self.trials.trials_round(&service, &self.stop, now) {
            self.note(Task::Trials, outcome);
        }
        if let Some(outcome) = self.overdue.overdue_round(&service, &self.stop, now) {
            self.note(Task::EidOrders, outcome);
        }
        if let Some(outcome) = self.scheduled.scheduled_round(&service, &self.stop, now) {
            self.note(Task::ScheduledRevocations, outcome);
        }
        if due(self.stand_bys, STAND_BYS_EVERY, now) {
            self.stand_bys = Some(now);
            service.signer.prove_stand_bys();
        }
        if due(self.receipts, RECEIPTS_EVERY, now) {
            self.receipts = Some(now);
            self.note(Task::Receipts, service.watch_unseen());
            self.note(Task::TrialWatch, service.watch_trials());
        }
        self.note(Task::Delegates, service.serve_delegates());
    }

    /// Waits for what is under way: no token is torn down under it.
    fn end(self) {
        let Self { probe, management_key, survey, test_certificates, .. } = self;
        let Self { trials, overdue, scheduled, .. } = self;
        let all = [probe, management_key, survey, test_certificates, trials, overdue, scheduled];
        all.into_iter().for_each(Probe::end);
    }

    fn management(&mut self, service: &Service, now: Instant) {
        if self.management.is_some_and(|until| until > now) {
            return;
        }
        let tended = service.tend_management();
        self.management = tended.is_err().then(|| now + RENEW_AGAIN);
        self.note(Task::Management, tended);
    }

    fn is_paused(&self, service: &Service, authority: &Authority, now: Instant) -> bool {
        self.crl.get(authority.name()).is_some_and(|pause| {
            let is_back = pause.what == WaitsFor::Token && service.is_within_reach(authority);
            pause.until > now && !is_back
        })
    }

    fn crls(&mut self, service: &Service, now: Instant) {
        for (name, authority) in &service.authorities {
            if !authority.signs_here() || self.is_paused(service, authority, now) {
                continue;
            }
            let wanted = match service.wanted_crl(authority) {
                Ok(wanted) => wanted,
                Err(denied) => {
                    let pause = Pause { until: now + TRY_AGAIN, what: WaitsFor::Time };
                    self.crl.insert(name.clone(), pause);
                    self.note_named(&crl_of(name), Err(denied));
                    continue;
                }
            };
            let Some(list) = wanted else { continue };
            let made = service.make_wanted(authority, list);
            let pause = if made.is_ok() {
                Pause { until: now + CRL_GAP, what: WaitsFor::Time }
            } else {
                let what = if service.is_within_reach(authority) {
                    WaitsFor::Time
                } else {
                    WaitsFor::Token
                };
                Pause { until: now + TRY_AGAIN, what }
            };
            self.crl.insert(name.clone(), pause);
            self.note_named(&crl_of(name), made);
        }
    }

    fn shards(&mut self, service: &Service, now: Instant) {
        for (name, authority) in &service.authorities {
            let is_paused = self.shards.get(name).is_some_and(|until| *until > now);
            if is_paused || !authority.signs_here() {
                continue;
            }
            let tended = service.tend_shards(authority);
            let pause = if tended.is_ok() { SHARDS_EVERY } else { TRY_AGAIN };
            self.shards.insert(name.clone(), now + pause);
            self.note_named(&shards_of(name), tended);
        }
    }

    fn note(&mut self, task: Task, outcome: Result<(), Denied>) {
        self.note_named(task.name(), outcome);
    }

    /// Logs a part that begins to fail or works again, once.
    fn note_named(&mut self, task: &str, outcome: Result<(), Denied>) {
        match outcome {
            Ok(()) => {
                if self.failing.remove(task).is_some() {
                    tracing::info!(schedule.task = task, "works again");
                }
            }
            Err(denied) => {
                metrics::counter!("sigill_schedule_failures_total", "task" => task.to_owned())
                    .increment(1);
                let code = denied.refusal.code.to_owned();
                let before = self.failing.insert(task.to_owned(), code.clone());
                if before.as_deref() != Some(code.as_str()) {
                    tracing::error!(
                        schedule.task = task,
                        problem.code = %code,
                        problem.seen = %denied.refusal.seen,
                        "failed; it is tried again by itself: {}; next: {}",
                        denied.refusal.rule,
                        denied.refusal.next
                    );
                }
            }
        }
    }
}

fn due(last: Option<Instant>, every: Duration, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= every)
}

#[cfg(test)]
mod tests;
