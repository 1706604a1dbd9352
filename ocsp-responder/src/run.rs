//! Puts the parts together, starts them, and stops them in order.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use hsm::pin::Pin;
use hsm::profile::Profiled;
use hsm::{Module, PinMarkers, Quirks, Token, TokenSettings};
use ledger::follow::FollowRules;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::alarms::AlarmCounts;
use crate::authority::Authorities;
use crate::clock::now;
use crate::complaint::Complaint;
use crate::config::{Config, Hsm, Object};
use crate::delegate::{Delegates, KeyPlace};
use crate::files::{CrlKeeper, CrlKeeperError, ServedCrls};
use crate::follow::{FollowError, Follower, Step, make_state_folder};
use crate::http::Site;
use crate::manage::Management;
use crate::metrics::{Counted, Metrics};
use crate::presigned::{Presigning, StockError};
use crate::receive::{self, Receiver, Refused, Tree};
use crate::responder::{AnswerRules, Responder};
use crate::server;
use crate::start::{self, Told};
use crate::test_certificates::{
    ServedTestCertificates, TestCertificateKeeper, TestCertificatesError,
};
use crate::view::View;
use crate::work::{Parts, Working, spawn};

/// How often the publication folder is looked at.
pub(crate) const FOLLOW_EVERY: Duration = Duration::from_millis(200);
/// Connections of the management listener.
const MANAGEMENT_CONNECTIONS: usize = 16;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
///
/// What kept it from starting; later failures are logged and healed or answered with tryLater.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    // All ports are taken before a token is opened: a second copy stops here.
    let public = config.listen.iter().copied().map(bind).collect::<anyhow::Result<Vec<_>>>()?;
    let private = bind(config.observe)?;
    let inner = config.receive.as_ref().map(|receive| bind(receive.listen)).transpose()?;
    make_state_folder(&config.state)?;
    let _alone = start::alone(&config.state)?;
    start::publication_is_ours(&config)?;
    let metrics = Arc::new(Metrics::default());
    let view =
        Arc::new(View::new(config.origin.epoch, config.timing.freshness, config.clock_bound));
    let authorities = Arc::new(ArcSwap::from_pointee(Authorities::default()));
    let delegates = Arc::new(Delegates::default());
    let crls = Arc::new(ServedCrls::default());

    let rules = FollowRules {
        origin: config.origin.clone(),
        key: config.log_key,
        freshness: config.timing.freshness,
        clock_bound: config.clock_bound,
    };
    let receiving = inner.map(|inner| Receiving::open(inner, &config, &rules)).transpose()?;
    let follower = Follower::new(&config.publication, &config.state, rules)?;
    let codes = [
        &FollowError::ALARMS[..],
        &CrlKeeperError::ALARMS,
        &TestCertificatesError::ALARMS,
        &StockError::ALARMS,
    ]
    .concat();
    let following_alarms = Arc::new(AlarmCounts::of(&codes));
    let crl_keeper = CrlKeeper::new(
        &config.publication,
        &config.state,
        config.deployment.clone(),
        config.manifest_key,
        crl_paths(&config),
        Arc::clone(&crls),
    )?;
    let tests = Arc::new(ServedTestCertificates::default());
    let test_keeper = config.is_test().then(|| {
        let (authorities, tests) = (Arc::clone(&authorities), Arc::clone(&tests));
        TestCertificateKeeper::new(&config.publication, &config.deployment, authorities, tests)
    });
    let stop = Arc::new(AtomicBool::new(false));
    let parts = Parts {
        view: Arc::clone(&view),
        authorities: Arc::clone(&authorities),
        delegates: Arc::clone(&delegates),
        metrics: Arc::clone(&metrics),
        alarms: Arc::clone(&following_alarms),
        stop: Arc::clone(&stop),
    };
    // Files first, the token last: what belongs to another deployment costs no login.
    let Working { source, presigning, mut threads } = parts.work(&config)?;
    threads.push({
        let (view, metrics, stop) = (Arc::clone(&view), Arc::clone(&metrics), Arc::clone(&stop));
        let alarms = Arc::clone(&following_alarms);
        let told = FollowAlarms { metrics, alarms };
        let folder = Followed { log: follower, crls: crl_keeper, tests: test_keeper };
        spawn("follow", move || follow(folder, &view, &told, &stop))?
    });

    let answer_rules = AnswerRules {
        validity: config.timing.validity,
        max_age: config.timing.max_age,
        clock_bound: config.clock_bound,
        cache: config.cache,
        never_issued: config.never_issued,
    };
    let responder =
        Responder::new(view, authorities, Arc::clone(&delegates), source, answer_rules, metrics);
    let site = Arc::new(Site {
        routes: config.routes.clone(),
        responder,
        crls,
        tests,
        max_age: config.timing.max_age,
        around: config.status_page.clone(),
    });
    let served =
        tokio::runtime::Runtime::new().context("runtime cannot be started")?.block_on(serve(
            &config,
            site,
            Doors { public, private, receiving },
            Watched { following: following_alarms, presigning },
        ));

    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        let name = thread.thread().name().unwrap_or_default().to_owned();
        thread.join().map_err(|_| anyhow!("thread {name} ended in a panic"))?;
    }
    for delegate in delegates.all() {
        delegate.counter.settle().context("signature counter cannot be settled")?;
    }
    served
}

/// Opens the token of the configuration.
///
/// # Errors
///
/// Module, PIN or token: which, and why.
pub(crate) fn open_token(hsm: &Hsm, state: &Path) -> anyhow::Result<Token> {
    let module = Module::load(&hsm.module).context("PKCS#11 module cannot be loaded")?;
    let settings = TokenSettings {
        name: hsm.token.clone(),
        pin: Pin::from_file(&hsm.pin).context("PIN of the token cannot be read")?,
        markers: PinMarkers::in_folder(state).context("state folder is refused")?,
        sessions: hsm.sessions,
        deadline: hsm.deadline,
        quirks: quirks(hsm)?,
    };
    let open = if hsm.danger_software_token {
        tracing::error!(
            problem.code = "danger-software-token",
            "[hsm] danger-software-token = true: a software token may sign in every environment"
        );
        Token::danger_open_software_too
    } else {
        Token::open
    };
    open(&module, settings).context("token cannot be opened")
}

/// What the device profile says of the token; the usual where the configuration names none.
pub(crate) fn quirks(hsm: &Hsm) -> anyhow::Result<Quirks> {
    let Some(path) = &hsm.profile else { return Ok(Quirks::default()) };
    Ok(Profiled::read(path, hsm.mismatch).context("[hsm] profile")?.quirks())
}

fn crl_paths(config: &Config) -> Vec<String> {
    let path = |object: &Object| match object {
        Object::Crl(path) | Object::CrlShards(path) => Some(path.clone()),
        Object::Ocsp | Object::Certificate(_) | Object::StatusPage | Object::TestCertificates => {
            None
        }
    };
    config.routes.iter().filter_map(|route| path(&route.object)).collect()
}

/// Where refused states of the publication folder are counted.
struct FollowAlarms {
    metrics: Arc<Metrics>,
    alarms: Arc<AlarmCounts>,
}

/// What is followed of the publication folder.
struct Followed {
    log: Follower,
    crls: CrlKeeper,
    /// In environment test alone.
    tests: Option<TestCertificateKeeper>,
}

fn follow(mut folder: Followed, view: &View, told: &FollowAlarms, stop: &AtomicBool) {
    let (mut log, mut lists) = (Complaint::default(), Complaint::default());
    let mut tests = Complaint::default();
    while !stop.load(Ordering::Relaxed) {
        let step = folder.log.step(view, now());
        if let Err(error) = &step {
            told.metrics.count(Counted::FollowFailure);
            told.alarms.count(error.code());
        }
        let step = log.hear("status log is not followed", FollowError::code, step);
        if let Some(Step::Advanced { entries }) = step
            && entries > 0
        {
            tracing::debug!(entries, "status log followed");
        }
        let step = folder.crls.step();
        if let Err(error) = &step {
            told.alarms.count(error.code());
        }
        let _ = lists.hear("CRL is not served", CrlKeeperError::code, step);
        if let Some(keeper) = &mut folder.tests {
            let step = keeper.step(Instant::now());
            if let Err(error) = &step {
                told.alarms.count(error.code());
            }
            let what = "new test certificates are not served";
            let _ = tests.hear(what, TestCertificatesError::code, step);
        }
        thread::sleep(FOLLOW_EVERY);
    }
}

/// The receiver with its socket.
struct Receiving {
    listener: std::net::TcpListener,
    tls: Arc<rustls::ServerConfig>,
    receiver: Arc<Receiver>,
}

impl Receiving {
    fn open(
        listener: std::net::TcpListener,
        config: &Config,
        rules: &FollowRules,
    ) -> anyhow::Result<Self> {
        let settings = config.receive.as_ref().context("[receive] is missing")?;
        let tls = Arc::new(receive::server_config(settings)?);
        let receiver = Arc::new(Receiver {
            tree: Arc::new(Tree::open(config, rules.clone())?),
            deployment: config.deployment.clone(),
            refusals: Arc::new(AlarmCounts::of(&Refused::ALARMS)),
        });
        Ok(Self { listener, tls, receiver })
    }
}

/// The sockets.
struct Doors {
    public: Vec<std::net::TcpListener>,
    private: std::net::TcpListener,
    receiving: Option<Receiving>,
}

/// What the figures are taken from.
struct Watched {
    following: Arc<AlarmCounts>,
    presigning: Option<Arc<Presigning>>,
}

/// Takes pushes until the end; where none are received there is nothing to wait for.
async fn take_pushes(
    receiving: Option<Receiving>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let Some(Receiving { listener, tls, receiver }) = receiving else { return Ok(()) };
    let listener = TcpListener::from_std(listener).context("socket cannot be used")?;
    receive::run(listener, tls, receiver, stop).await;
    Ok(())
}

async fn serve(
    config: &Config,
    site: Arc<Site>,
    doors: Doors,
    watched: Watched,
) -> anyhow::Result<()> {
    let Doors { public, private, receiving } = doors;
    let private = TcpListener::from_std(private).context("socket cannot be used")?;
    // Before it is said to serve: an order to stop that nobody hears would end the program in the middle.
    let order = StopOrder::hear()?;
    let (stop, stopped) = watch::channel(false);
    let token = config.role.hsm().map(|hsm| hsm.token.to_string());
    let in_memory = in_process_memory(config);
    if !in_memory.is_empty() {
        tracing::warn!(problem.code = "delegate-keys-in-memory", authority.names = ?in_memory,
            "keys of delegates are made in process memory and lie in files, by configuration");
    }
    tracing::info!(deployment = %config.deployment, http.listen = ?config.listen,
        observe.listen = %config.observe, token = token.as_deref().unwrap_or("none"),
        answers.signed = ?config.timing.answers, "serving");

    let management = Arc::new(Management {
        site: Arc::clone(&site),
        authorities: config.authorities.clone(),
        following: watched.following,
        presigning: watched.presigning,
        receiving: receiving.as_ref().map(|one| Arc::clone(&one.receiver.refusals)),
        danger_software_token: config.role.hsm().is_some_and(|hsm| hsm.danger_software_token),
    });
    let mut listening = JoinSet::new();
    for public in public {
        let public = TcpListener::from_std(public).context("socket cannot be used")?;
        let site = Arc::clone(&site);
        let serve = move |request, ip| {
            let site = Arc::clone(&site);
            async move { site.serve(request, ip).await }
        };
        server::start(&mut listening, public, config.max_connections, stopped.clone(), serve);
    }
    let answering = async { while listening.join_next().await.is_some() {} };
    let taking = take_pushes(receiving, stopped.clone());
    let managing = server::run(private, MANAGEMENT_CONNECTIONS, stopped, move |request, _| {
        let management = Arc::clone(&management);
        async move { management.serve(&request) }
    });
    let ordered = async {
        order.given().await;
        stop.send_replace(true);
    };
    let ((), (), took, ()) = tokio::join!(answering, managing, taking, ordered);
    took
}

/// The CAs whose delegates get keys in process memory.
fn in_process_memory(config: &Config) -> Vec<&str> {
    let chosen = config
        .authorities
        .iter()
        .filter(|pinned| pinned.delegate_key_place == KeyPlace::ProcessMemory);
    chosen.map(|pinned| pinned.name.as_str()).collect()
}

fn bind(address: std::net::SocketAddr) -> anyhow::Result<std::net::TcpListener> {
    let bound = std::net::TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|error| {
        let what = format!("cannot listen on {address}: is another copy running?");
        let told = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                Told::new("address-in-use", what, "end the other copy, or take another port")
            }
            _ => Told::new("address-refused", what, "correct the address of `listen`"),
        };
        anyhow::Error::new(error).context(told)
    })
}

/// An order to stop: SIGTERM of a supervisor, or SIGINT of a terminal. It is heard from the moment this is made.
struct StopOrder {
    terminate: Signal,
    interrupt: Signal,
}

impl StopOrder {
    fn hear() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?;
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be heard")?;
        Ok(Self { terminate, interrupt })
    }

    async fn given(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
    }
}
