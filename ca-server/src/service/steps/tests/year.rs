//! ISS-15, ISS-17, REV-10: a whole year by a clock that is set, day by day, in which orders are made and left lying, names change and revocations are
//! asked for later; what the CA ends, and when, is what another reckoning says, which shares no line with the first.

mod reckoning;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ca::carrier::CarrierKind;
use ca::life::{CarrierStage, Stage as _};
use ca::revocation::BusinessEvent;
use ca::role::Protected;
use ca::steps::{Struck, struck, succession};
use store::{
    BoundTo, CarrierId, EidOrderStrike, IndexTag, IndexTerm, Log, NewCarriers, ScheduledId,
    ScheduledState,
};

use self::reckoning::{Almanac, Rules};
use super::*;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Hours of a day, in UTC, at which the schedule comes by: midnight in Stockholm in summer and in winter, and once in between.
const COMES_BY: [u64; 3] = [12, 22, 23];

/// What somebody means to do with an order: seconds since 1970, and whatever comes too late is not done.
#[derive(Clone, Copy, Debug)]
struct Plan {
    ordered: u64,
    identified: Option<u64>,
    issued: Option<u64>,
    activated: Option<u64>,
    cancelled: Option<u64>,
    /// When the holder's name changed, where the order replaces a card with the former one.
    renamed: Option<u64>,
}

/// What a revocation of later was asked with.
#[derive(Clone, Debug)]
enum When {
    At(u64),
    /// Days since 1970.
    LastDay(u64),
}

#[derive(Clone, Debug)]
struct Later {
    asked: u64,
    when: When,
    taken_back: Option<u64>,
}

/// What was meant to happen in a year.
#[derive(Debug)]
struct Year {
    number: u64,
    plans: Vec<Plan>,
    laters: Vec<Later>,
}

/// What the CA ended, by its name: what became of it, and at which second that was seen.
type History = BTreeMap<String, (&'static str, u64)>;

/// Numbers that look random and are the same in each run (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// A time of the day that no deadline ends at and no round comes by at.
    fn time(&mut self) -> u64 {
        self.below(DAY / 600) * 600 + 300
    }
}

impl Year {
    fn of(seed: u64) -> Self {
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15 ^ (seed + 1));
        let number = first_year() + seed % 60;
        let first = Almanac::new(number).first_day();
        let days = Almanac::new(number + 1).first_day() - first;
        let mut year = Self { number, plans: Vec::new(), laters: Vec::new() };
        for day in first..first + days {
            // Around the free days of spring, midsummer and Christmas somebody begins an activation each day, and leaves it.
            let of_year = day - first;
            if (70..180).contains(&of_year) || of_year > 340 {
                let ordered = day * DAY + 9 * HOUR;
                let identified = Some(ordered + HOUR);
                year.plans.push(Plan { identified, ..Plan::bare(ordered) });
            }
            if chance.one_in(3) {
                let ordered = day * DAY + chance.time();
                year.plans.push(Plan::random(ordered, &mut chance));
            }
            if chance.one_in(4) {
                year.laters.push(Later::random(day, &mut chance));
            }
        }
        year
    }
}

impl Plan {
    const fn bare(ordered: u64) -> Self {
        Self {
            ordered,
            identified: None,
            issued: None,
            activated: None,
            cancelled: None,
            renamed: None,
        }
    }

    fn random(ordered: u64, chance: &mut Chance) -> Self {
        let mut plan = Self::bare(ordered);
        let mut last = ordered;
        let mut next = |chance: &mut Chance, days: u64| {
            last = last / DAY * DAY + DAY + chance.below(days) * DAY + chance.time();
            last
        };
        let far = chance.below(5);
        // Most who come to be identified come within weeks; some come when all is over.
        plan.identified = (far > 0).then(|| next(chance, 110));
        if chance.one_in(3) {
            // Then what was issued waits to be handed over by its own span alone.
            plan.identified = None;
        }
        plan.issued = (far > 1).then(|| next(chance, 9));
        plan.activated = (far > 2).then(|| next(chance, 16));
        if far < 4 && chance.one_in(5) {
            plan.cancelled = Some(next(chance, 30));
        }
        plan.renamed = chance.one_in(2).then(|| ordered - (1 + chance.below(50)) * DAY);
        plan
    }
}

impl Later {
    fn random(day: u64, chance: &mut Chance) -> Self {
        let asked = day * DAY + chance.time();
        let on = day + 1 + chance.below(90);
        let when = match chance.one_in(2) {
            true => When::At(on * DAY + chance.below(144) * 600),
            false => When::LastDay(on),
        };
        let taken_back = chance.one_in(4).then(|| (day + 1 + chance.below(60)) * DAY + 300);
        Self { asked, when, taken_back }
    }
}

/// A year of the future, whose orders the machine's clock has not met.
fn first_year() -> u64 {
    2031.max(1970 + wall() / (365 * DAY + DAY / 4) + 2)
}

fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn unix(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds).unwrap()
}

/// A CA in a year, and what has not ended yet.
struct Played {
    world: World,
    orders: BTreeMap<usize, (OrderId, EidOrderChange, Vec<Taken>)>,
    /// Orders that have replaced nothing yet.
    former: BTreeMap<usize, OrderId>,
    laters: BTreeMap<usize, ScheduledId>,
    targets: Vec<Value>,
    history: History,
    calls: u64,
}

impl Played {
    fn new(year: &Year) -> Self {
        let mut played = Self {
            world: World::new(),
            orders: BTreeMap::new(),
            former: BTreeMap::new(),
            laters: BTreeMap::new(),
            targets: Vec::new(),
            history: History::new(),
            calls: 0,
        };
        played.set((Almanac::new(year.number).first_day() - 1) * DAY);
        // Every other revocation of later is of a certificate, every other of a card.
        for place in 0..year.laters.len() {
            let target = if place % 2 == 0 {
                let issued = played.world.issue(&format!("issue-{place}")).unwrap();
                let issued: Value = serde_json::from_slice(&issued.response.body).unwrap();
                json!({ "certificate": issued["id"] })
            } else {
                json!({ "carrier": played.card(1_000_000 + place).to_string() })
            };
            played.targets.push(target);
        }
        played
    }

    fn set(&mut self, at: u64) {
        let ahead = Duration::from_secs(at - wall());
        self.world.service.clock = Arc::new(Clock::ahead_by(ahead));
    }

    fn id(&mut self) -> [u8; 16] {
        self.calls += 1;
        (u128::from(self.calls) << 64 | 0x7000_8000_0000_0000_0000).to_be_bytes()
    }

    /// A card in the register, as one with the former name stands for.
    fn card(&mut self, number: usize) -> CarrierId {
        let carrier = CarrierId::from_bytes(self.id());
        let new = NewCarriers {
            call: OrderId::from_bytes(self.id()),
            kind: CarrierKind::OrdinaryCard,
            family: "nls-card-2023".to_owned(),
            organisation: "2321000131".to_owned(),
            stage: CarrierStage::Ordered,
            cards: vec![(carrier, IndexTerm::new(IndexTag::CardNumber, &format!("{number:019}")))],
        };
        let record = Service::record(
            EventCode::CarriersRegistered,
            EventResult::Done,
            self.world.service.system(),
            ObjectIds::default(),
            None,
            &json!({}),
            Subject::Deployment,
        );
        self.world.service.store().register_carriers(&new, &record, self.world.now()).unwrap();
        carrier
    }

    /// Takes a step of an order at this second, unless it is over by then.
    fn step(&mut self, place: usize, act: OrderAct, stage: OrderStage, at: u64, plan: &Plan) {
        self.set(at);
        let (id, first, mut taken) = match self.orders.get(&place) {
            Some(known) => known.clone(),
            None if act == OrderAct::Order => {
                let id = OrderId::from_bytes(self.id());
                let first = made(&self.world, id, (stage, UnixTime::LAST), &prepared());
                (id, first, Vec::new())
            }
            None => return,
        };
        let row = self.world.service.store().eid_order(id).unwrap().map(|order| order.row);
        if let Some(row) = &row {
            let mut known = known(id);
            known.due = row.due;
            let in_time = self.world.service.in_time(&known, act).is_ok();
            if row.stage == OrderStage::Expired || !in_time {
                return;
            }
        }
        let now = unix(at);
        taken.push(Taken { act, by: ActorId::new("a").unwrap(), at: now });
        let world = &self.world;
        let routine = world.service.book.routine("office-visit").unwrap();
        let due = world.service.with_calendar(|days| ca::steps::due(stage, routine, days, &taken));
        let replaces = row.as_ref().and_then(|row| row.replaces);
        let rule = succession(routine, BusinessEvent::NameChanged).unwrap();
        let what = match (plan.renamed, act) {
            (Some(_), OrderAct::Order) => Some(BoundTo::Carrier(self.card(place))),
            _ => replaces.filter(|one| one.done.is_none()).map(|one| one.what),
        };
        let told = plan.renamed.and_then(|since| {
            let world = &self.world;
            let routine = world.service.book.routine("office-visit").unwrap();
            let due = replaces.and_then(|one| one.due);
            world
                .service
                .with_calendar(|days| struck(rule, routine, act, (unix(since), now), due, days))
        });
        let strike = what.zip(told).map(|(what, struck)| EidOrderStrike {
            what,
            event: BusinessEvent::NameChanged,
            struck,
        });
        let change = EidOrderChange {
            call: if act == OrderAct::Order { id } else { OrderId::from_bytes(self.id()) },
            rests_on: row.map_or(0, |row| row.steps),
            act,
            stage,
            due,
            strike,
            ..first.clone()
        };
        let of = (id, change.subject.clone());
        let audit = audit_of(of, (act, stage), (self.world.service.system(), None), json!({}));
        self.world.service.store().take_eid_order_step(&change, audit, now).unwrap();
        match strike.map(|strike| strike.struck) {
            Some(Struck::At(_)) => drop(self.former.insert(place, id)),
            Some(Struck::Now) => {
                self.former.remove(&place);
                self.history.insert(format!("former name {place}"), ("step", at));
            }
            Some(Struck::Spared) => drop(self.former.remove(&place)),
            None => {}
        }
        if stage.is_final() {
            self.orders.remove(&place);
        } else {
            self.orders.insert(place, (id, first, taken));
        }
    }

    fn ask(&mut self, place: usize, later: &Later) {
        self.set(later.asked);
        let mut body = self.targets[place].clone();
        let said = body.as_object_mut().unwrap();
        said.insert("reason".to_owned(), json!("superseded"));
        match later.when {
            When::At(at) => said.insert("at".to_owned(), json!(unix(at).to_string())),
            When::LastDay(day) => said.insert("last_day".to_owned(), json!(Almanac::written(day))),
        };
        let call = self.world.call("/v1/scheduled-revocations", &format!("ask-{place}"), &body);
        let caller = self.world.caller();
        let done =
            self.world.run(&call, |service, work| service.schedule_revocation(&caller, work));
        let done = done.unwrap().response;
        let shown: api::ScheduledRevocation = serde_json::from_slice(&done.body)
            .unwrap_or_else(|_| panic!("{body}: {}", String::from_utf8_lossy(&done.body)));
        self.laters.insert(place, shown.id.parse().unwrap());
    }

    fn take_back(&mut self, place: usize, at: u64) {
        let Some(id) = self.laters.get(&place).map(ToString::to_string) else { return };
        self.set(at);
        let path = format!("/v1/scheduled-revocations/{id}/cancellation");
        let call = self.world.call(&path, &format!("back-{place}"), &json!({}));
        let caller = self.world.caller();
        let done =
            self.world.run(&call, |service, work| service.cancel_scheduled(&caller, &id, work));
        if serde_json::from_slice::<api::ScheduledRevocation>(&done.unwrap().response.body).is_ok()
        {
            self.laters.remove(&place);
        }
    }

    /// The schedule comes by.
    fn round(&mut self, at: u64) {
        self.set(at);
        let goes_on = AtomicBool::new(false);
        let entries = || self.world.service.store().log_head(Log::Audit).unwrap().size;
        let before = entries();
        self.world.service.end_overdue_orders(&goes_on).unwrap();
        self.world.service.strike_scheduled_revocations(&goes_on).unwrap();
        let quiet = entries() == before && self.former.is_empty();
        if quiet {
            return;
        }
        let store = self.world.service.store();
        let history = &mut self.history;
        self.orders.retain(|place, (id, ..)| {
            let order = store.eid_order(*id).unwrap().unwrap();
            if order.row.stage != OrderStage::Expired {
                return true;
            }
            history.insert(format!("order {place}"), ("expired", at));
            false
        });
        self.former.retain(|place, id| {
            let replaces = store.eid_order(*id).unwrap().unwrap().row.replaces.unwrap();
            if replaces.done.is_none() {
                return true;
            }
            let BoundTo::Carrier(carrier) = replaces.what else { panic!("{replaces:?}") };
            let carrier = store.carrier(carrier, Protected::Seen).unwrap().unwrap();
            assert!(carrier.revoked.is_some());
            history.insert(format!("former name {place}"), ("deadline", at));
            false
        });
        self.laters.retain(|place, id| {
            let row = store.scheduled_revocation(*id, Protected::Seen).unwrap().unwrap();
            if row.state == ScheduledState::Waiting {
                return true;
            }
            history.insert(format!("later {place}"), ("revoked", at));
            false
        });
    }
}

/// Plays a year: everything in the order of its time.
fn play(year: &Year) -> History {
    enum Does<'a> {
        Step(usize, OrderAct, OrderStage, &'a Plan),
        Ask(usize, &'a Later),
        TakeBack(usize),
        Round,
    }
    let mut all: Vec<(u64, Does<'_>)> = Vec::new();
    for (place, plan) in year.plans.iter().enumerate() {
        let steps = [
            (Some(plan.ordered), OrderAct::Order, OrderStage::Ordered),
            (plan.identified, OrderAct::Identify, OrderStage::Identified),
            (plan.issued, OrderAct::Issue, OrderStage::Issued),
            (plan.activated, OrderAct::Activate, OrderStage::Completed),
            (plan.cancelled, OrderAct::Cancel, OrderStage::Cancelled),
        ];
        let told = steps.into_iter().filter_map(|(at, act, stage)| Some((at?, act, stage)));
        all.extend(told.map(|(at, act, stage)| (at, Does::Step(place, act, stage, plan))));
    }
    for (place, later) in year.laters.iter().enumerate() {
        all.push((later.asked, Does::Ask(place, later)));
        all.extend(later.taken_back.map(|at| (at, Does::TakeBack(place))));
    }
    let (first, end) = bounds(year);
    all.retain(|(at, _)| *at < end);
    for day in first / DAY..end / DAY {
        all.extend(COMES_BY.map(|hour| (day * DAY + hour * HOUR, Does::Round)));
    }
    all.sort_by_key(|(at, _)| *at);
    let mut played = Played::new(year);
    for (at, does) in &all {
        match does {
            Does::Step(place, act, stage, plan) => played.step(*place, *act, *stage, *at, plan),
            Does::Ask(place, later) => played.ask(*place, later),
            Does::TakeBack(place) => played.take_back(*place, *at),
            Does::Round => played.round(*at),
        }
    }
    played.history
}

fn bounds(year: &Year) -> (u64, u64) {
    let of = |number| Almanac::new(number).first_day() * DAY;
    (of(year.number), of(year.number + 1))
}

/// How many years are played: `simulated-years` of tests/budget.toml.
fn years() -> u64 {
    let said = std::env::var("SIGILL_COUNT_SIMULATED_YEARS").ok();
    said.map_or(1, |text| text.parse().expect("SIGILL_COUNT_SIMULATED_YEARS is a number"))
}

/// What strikes, and when, is what another reckoning says; and with any rule bent by a day, or a free day forgotten, it is not.
#[test]
fn a_year_of_deadlines_is_as_another_reckoning_has_it() {
    for seed in 0..years() {
        let year = Year::of(seed);
        let history = play(&year);
        let reckoned = |rules: &Rules| reckoning::reckon(&year, rules);
        assert_eq!(history, reckoned(&Rules::SWEDEN), "seed {seed}, year {}", year.number);

        let kinds: BTreeSet<&str> = history.values().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds.into_iter().collect::<Vec<_>>(),
            ["deadline", "expired", "revoked", "step"]
        );
        assert!(history.len() > 200, "seed {seed}: {}", history.len());
        for (name, bent) in Rules::bent() {
            assert_ne!(history, reckoned(&bent), "seed {seed}, year {}: {name}", year.number);
        }
    }
}
