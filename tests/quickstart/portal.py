"""The example portal and its card reader, driven by their pages alone, against a home of ./quickstart.

Each call that changes something is broken three times by `kill -9` of the portal: when it is written down and not signed for, while it is under way (the
CA stands still meanwhile, so that nobody knows what became of it), and when it has its answer. What was ordered is there once in the end.

Usage: portal.py HOME PROGRAMS PORTAL-ADDRESS READER-ADDRESS
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

LIMIT = 120  # seconds until something must have happened, on a machine that is at its limit
CARD = "9752000000000002003"
PERSON, HSA_ID = "198506079824", "TST2321000016-1201"
HOLDER_PINS = ("135791", "246802")
RESERVE_CARD, NEW_CARD = "9752000000000002201", "9752000000000003001"
OTHER = "5565594230"  # another organisation
ANNA, BERTIL, CECILIA, DISA = (f"TST2321000016-110{number}" for number in (1, 2, 3, 4))


class Page(HTMLParser):
    """A page as somebody without styles and scripts has it: its text, its links, its forms."""

    def __init__(self, status: int, url: str, text: str):
        super().__init__()
        self.status, self.url, self.text = status, url, ""
        self.forms, self.links, self.headings, self._within = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag == "script":
            raise AssertionError(f"{self.url} has a script")
        if tag not in ("meta", "link", "input", "br"):
            self._within.append(tag)
        if tag == "form":
            self.forms.append({"action": named["action"], "method": named["method"], "fields": []})
        elif tag == "a":
            self.links.append(named["href"])
        elif tag in ("input", "select", "textarea"):
            self.forms[-1]["fields"].append([named["name"], named.get("value", "")])
            if tag == "select":
                self._unchosen = True
        elif tag == "option" and self._unchosen:
            self.forms[-1]["fields"][-1][1], self._unchosen = named["value"], False

    def handle_endtag(self, tag):
        assert self._within.pop() == tag, f"{self.url}: </{tag}>"

    def handle_data(self, data):
        self.text += data
        if self._within and self._within[-1] == "h1":
            self.headings.append(data.strip())

    def form(self, **wanted):
        """The form with these fields, `action` among them."""
        for form in self.forms:
            known = {**dict(form["fields"]), "action": form["action"]}
            if all(known.get(name) == value for name, value in wanted.items()):
                return form
        raise AssertionError(f"{self.url} has no form {wanted}: {self.text}")

    def after(self, label: str) -> str:
        """The word behind a label."""
        assert label in self.text, f"{self.url} has no {label!r}: {self.text}"
        return self.text.split(label, 1)[1].split()[0]


class Program:
    """One of the two, in a process that is killed and started again."""

    def __init__(self, command: list[str], log: Path):
        self.command, self.log, self.kills, self.process = command, log, 0, None
        self.start()

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        said = self.process.stdout.readline()
        if b" at http://" not in said:
            self.kill()
            raise AssertionError(f"{self.command} did not start: {self.log.read_text()}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def again(self):
        self.kill()
        self.start()


class World:
    """The home with both programs."""

    def __init__(self, home: Path, programs: Path, portal: str, reader: str):
        self.home, self.folder = home, home / "portal"
        self.origins = {"portal": f"http://{portal}", "reader": f"http://{reader}"}
        card = [str(programs / "example-card"), "serve", "--cards", str(self.folder / "cards"), "--listen", reader,
                "--portal", self.origins["portal"]]
        serve = [str(programs / "example-portal"), "serve", "--config", str(self.folder / "portal.toml")]
        self.portal = Program(serve, home / "log/example-portal.log")
        try:
            self.reader = Program(card, home / "log/example-card.log")
        except BaseException:
            self.portal.kill()
            raise

    def end(self):
        for program in (self.portal, self.reader):
            program.kill()

    def ledger(self) -> list[dict]:
        text = (self.folder / "state/ledger.jsonl").read_text()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def lines(self, act: str) -> list[str]:
        return [line["line"] for line in self.ledger() if line.get("act") == act]

    def until(self, what: str, look):
        begun = time.monotonic()
        while not (found := look()):
            assert time.monotonic() - begun < LIMIT, f"{what}: {self.ledger()[-3:]}"
            time.sleep(0.02)
        return found

    @contextmanager
    def frozen(self):
        """While the CA stands still."""
        process = int((self.home / "run/sigill-ca.pid").read_text())
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)


class Browser:
    """Somebody with a browser and a card."""

    def __init__(self, world: World, hsa_id: str):
        self.world, self.cookie = world, ""
        self.pins = tuple((world.folder / "pins").read_text().split())
        page = self.see("/")
        page = self.send(page.form(action="/login"), administrator=hsa_id)
        page = self.answer(page)
        assert page.headings == ["Att göra"], page.text

    def once(self, method: str, url: str, fields=None) -> tuple[int, str, str]:
        """A request: status, where it leads, what came."""
        parts = urllib.parse.urlsplit(url)
        own = url.startswith(self.world.origins["portal"])
        connection = http.client.HTTPConnection(parts.netloc, timeout=LIMIT)
        target = parts.path + ("?" + parts.query if parts.query else "")
        headers = {"Origin": f"{parts.scheme}://{parts.netloc}"} if method == "POST" else {}
        if own and self.cookie:
            headers["Cookie"] = self.cookie
        body = None
        if fields is not None:
            body = urllib.parse.urlencode(fields)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
        if cookie := response.getheader("Set-Cookie"):
            self.cookie = cookie.split(";")[0]
        where = response.getheader("Location")
        return response.status, urllib.parse.urljoin(url, where) if where else "", text

    def follow(self, url: str, came=None) -> Page:
        status, where, text = came or self.once("GET", url)
        while where:
            url = where
            status, where, text = self.once("GET", url)
        return Page(status, url, text)

    def see(self, path: str, status: int = 200) -> Page:
        page = self.follow(self.world.origins["portal"] + path)
        assert page.status == status, f"{path}: {page.status} {page.text}"
        return page

    def send(self, form: dict, base: str = "portal", **fields) -> Page:
        """Fills a form in and sends it."""
        filled, more = [], {name: value for name, value in fields.items()}
        for name, value in form["fields"]:
            given = more.get(name, value)
            filled.append((name, given.pop(0) if isinstance(given, list) else given))
        unknown = set(fields) - {name for name, _ in form["fields"]}
        assert not unknown, f"{form} has no {unknown}"
        url = urllib.parse.urljoin(self.world.origins[base], form["action"])
        if form["method"] == "get":
            return self.follow(url + "?" + urllib.parse.urlencode(filled))
        return self.follow(url, self.once("POST", url, filled))

    def answer(self, page: Page, pins=None) -> Page:
        """Types the PINs that the reader asks for."""
        pins = pins or self.pins
        form = page.form(action="/ask")
        names = {name for name, _ in form["fields"]}
        typed = {"pin": pins[0], **({"pin-signature": pins[1]} if "pin-signature" in names else {})}
        return self.send(form, "reader", **typed)

    def does(self, page: Page, wanted: dict, line: str = "answered", **fields) -> Page:
        """Sends a form that changes something and signs for it, and loses the portal three times on the way."""
        world = self.world
        asked = self.send(page.form(**wanted), **fields)
        assert asked.url.startswith(world.origins["reader"]), f"{wanted}: {asked.text}"
        begun = [one for one in world.ledger() if one["line"] == "begun"][-1]
        act = begun["act"]
        # Killed before anybody has signed: the administrator goes on from the page of what he has to do.
        world.portal.again()
        assert world.lines(act) == ["begun"]
        assert f"/acts/{act}" in self.see("/").links
        asked = self.see(f"/acts/{act}/sign")
        # Killed while the call is under way, to a CA that stands still.
        with world.frozen():
            lost = threading.Thread(target=self.lose, args=(asked,))
            lost.start()
            world.until("signed", lambda: "signed" in world.lines(act))
            time.sleep(0.05)
            world.portal.kill()
            lost.join()
        world.portal.start()
        world.until(line, lambda: world.lines(act)[-1] not in ("begun", "signed"))
        assert world.lines(act) == ["begun", "signed", line], world.ledger()[-1]
        # Killed when it has its answer.
        world.portal.again()
        page = self.see(f"/acts/{act}")
        if line != "answered":
            return page
        onward = [link for link in page.links if link.startswith(("/orders/ord", "/certificates/", "/eids/", "/carriers/", "/organisations"))]
        return self.see(onward[-1])

    def simply(self, page: Page, wanted: dict, **fields) -> Page:
        """The same without a kill."""
        return self.answer(self.send(page.form(**wanted), **fields))

    def lose(self, asked: Page):
        """An answer that nobody hears."""
        try:
            self.answer(asked)
        except (OSError, http.client.HTTPException):
            pass


def stage(page: Page, word: str) -> Page:
    label = "Läge Stage" if "Läge Stage" in page.text else "Läge State"
    assert page.after(label) == word, f"{word}: {page.text}"
    return page


def new_card(browser: Browser, card: str):
    """A holder's card: put into the reader, given PINs by its holder."""
    world = browser.world
    page = browser.follow(world.origins["reader"] + "/")
    page = browser.send(page.form(action="/cards"), "reader", number=card, label="Åsa Öberg")
    form = page.form(action=f"/cards/{card}/pins")
    refused = browser.send(form, "reader", **{"authentication": "111111", "authentication-again": "111112",
                                              "signature": "222222", "signature-again": "222222"})
    assert "Pinkoderna är inte lika" in refused.text
    one, other = HOLDER_PINS
    page = browser.send(form, "reader", **{"authentication": one, "authentication-again": one, "signature": other,
                                          "signature-again": other})
    assert page.after("Pinkoder PINs") == "valda", page.text


def ordered(anna: Browser, bertil: Browser) -> str:
    """From the order to the activation. The path of its page."""
    page = anna.does(anna.see("/orders/new"), {"kind": "prepare"}, given_name="Åsa", surname="Öberg", number=PERSON,
                     hsa_id=HSA_ID, card_number=CARD)
    order = urllib.parse.urlsplit(page.url).path
    page = anna.does(stage(page, "Beställd"), {"kind": "evidence"})
    # Who ordered and identified does not approve: the CA says so, and the portal shows it.
    refused = anna.does(stage(page, "Identifierad"), {"kind": "approvals"}, "refused")
    assert "order-duties" in refused.text, refused.text
    page = stage(bertil.does(bertil.see(order), {"kind": "approvals"}), "Godkänd")

    # The holder signs the receipt with a wrong PIN, and with his own.
    asked = bertil.send(page.form(what="receipt"), addition="VGR 3")
    wrong = bertil.answer(asked, ("000000", ""))
    assert "wrong PIN; tries left: 2" in wrong.text, wrong.text
    page = bertil.answer(wrong, HOLDER_PINS)
    bertil.world.portal.again()
    page = stage(bertil.does(bertil.follow(page.url), {"kind": "receipt"}), "Kvitterad")
    page = bertil.answer(bertil.send(page.form(what="requests")), HOLDER_PINS)
    page = stage(bertil.does(page, {"kind": "issuance"}), "Utfärdad")
    page = stage(bertil.does(page, {"kind": "delivery"}), "Utlämnad")
    page = stage(bertil.does(page, {"kind": "activation"}), "Slutförd")
    assert "sigill-holder-receipt/1" in page.text and "addition VGR 3" in page.text
    for act in ("Beställ order", "Identifiera identify", "Godkänn approve", "Ta emot kvittens take-receipt", "Utfärda issue",
                "Lämna ut deliver", "Aktivera activate"):
        assert page.text.count(act) == 1, f"{act}: {page.text}"
    return order


def taken_back(anna: Browser):
    """An order that nobody needs."""
    page = anna.does(anna.see("/orders/new"), {"kind": "prepare"}, given_name="Åsa", surname="Öberg", number=PERSON,
                     hsa_id=HSA_ID, card_number=CARD)
    due = anna.send(anna.see("/orders").form(action="/orders"), due_before="2099-01-01T00:00:00Z")
    order = urllib.parse.urlsplit(page.url).path
    assert order in due.links, due.text
    stage(anna.does(page, {"kind": "cancellation"}), "Borttagen")


def found(browser: Browser, **fields) -> list[str]:
    """The eIDs that a search shows."""
    page = browser.send(browser.see("/search").form(action="/search"), **fields)
    return [link for link in page.links if link.startswith("/eids/")]


def searched(anna: Browser) -> str:
    """By each of the three fields; the holder's eID."""
    by_person = found(anna, person=f"{PERSON[:8]}-{PERSON[8:]}")
    assert len(by_person) == 1, by_person
    assert found(anna, hsa_id_end=HSA_ID[-5:]) == found(anna, card_number=CARD) == by_person
    assert found(anna, person="191212121212") == []
    return by_person[0]


def ocsp(world: World, certificate: Page, word: str):
    """OpenSSL asks the responder that the certificate names, until it says so."""
    folder = world.folder / "ocsp"
    folder.mkdir(exist_ok=True)
    blocks = [f"-----BEGIN {block}" for block in certificate.text.split("-----BEGIN ")[1:]]
    for name, block in zip(("leaf", "issuing"), blocks, strict=False):
        (folder / f"{name}.pem").write_text(block)
    run = lambda *words: subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True).stdout  # noqa: E731
    url = run("x509", "-in", "leaf.pem", "-noout", "-ocsp_uri").split()[0]
    ask = ("ocsp", "-issuer", "issuing.pem", "-cert", "leaf.pem", "-url", url, "-CAfile", world.home / "trust/root.pem",
           "-verify_other", "issuing.pem")
    world.until(f"OCSP says {word}", lambda: f"leaf.pem: {word}\n" in run(*ask))


def diagnosed(browser: Browser, page: Page, use: str, code: str):
    said = browser.send(page.form(action="/diagnosis"), use=use)
    assert ("Det ska fungera" in said.text) if code == "" else (f"\n{code}\n" in said.text), f"{code}: {said.text}"


def revoked(anna: Browser, cecilia: Browser, eid: str, extra: str):
    """A certificate on hold and released, then the eID, then the card with all that is on it, another organisation's too."""
    world, page = anna.world, anna.see(eid)
    diagnosed(anna, page, "signature", "")
    certificates = sorted({link for link in page.links if link.startswith("/certificates/")})
    assert len(certificates) == 2, certificates
    held = certificates[0]
    ocsp(world, anna.see(held), "good")
    page = stage(anna.does(anna.see(held), {"kind": "revoke-certificate"}, event="mislaid"), "held")
    diagnosed(anna, page, "login", "held") if "authentication" in page.text else diagnosed(anna, page, "signature", "held")
    # Who may revoke ends no hold.
    refused = anna.does(page, {"kind": "release-certificate"}, "refused")
    assert "actor-role-refused" in refused.text, refused.text
    stage(cecilia.does(cecilia.see(held), {"kind": "release-certificate"}), "activated")
    page = stage(anna.does(anna.see(eid), {"kind": "revoke-eid"}, event="employment-ended"), "Spärrad")
    diagnosed(anna, page, "login", "revoked")
    for certificate in certificates:
        ocsp(world, stage(anna.see(certificate), "revoked"), "revoked")
    carrier = next(link for link in page.links if link.startswith("/carriers/"))
    page = stage(anna.does(anna.see(carrier), {"kind": "revoke-carrier"}, event="stolen"), "Spärrad")
    diagnosed(anna, page, "login", "carrier-revoked")
    page = stage(cecilia.see(extra), "Spärrad")
    ocsp(world, cecilia.see(next(link for link in page.links if link.startswith("/certificates/"))), "revoked")


def organised(cecilia: Browser):
    """An office, added, renamed and ended."""
    page = cecilia.see("/organisations")
    parent = (cecilia.world.folder / "organisation").read_text().strip()
    office = f"kontor-{os.getpid()}"
    page = cecilia.does(page, {"kind": "add-organisation"}, kind_of="office", parent=parent, name="Kontor Ett", office=office)
    assert office in page.text, page.text
    shown = lambda: next(page for link in cecilia.see("/organisations").links if link.startswith("/organisations/")  # noqa: E731
                         for page in [cecilia.see(link)] if office in page.text)
    cecilia.does(shown(), {"kind": "change-organisation"}, name="Kontor Två")
    page = shown()
    assert "Kontor Två" in page.text
    cecilia.does(page, {"kind": "end-organisation"})
    assert shown().after("Till Until").startswith("20"), shown().text


def function(cecilia: Browser):
    """A certificate of a function, and its revocation."""
    folder = cecilia.world.folder
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    "function.key", "-out", "function.csr", "-subj", "/CN=x"], cwd=folder, capture_output=True, check=True)
    page = cecilia.does(cecilia.see("/functions"), {"kind": "issue-function"}, profile="function-ec",
                        common_name="portal.example.org", hsa_id="TST2321000016-B17", organisation_name="Sigill Test",
                        dns="portal.example.org", csr=(folder / "function.csr").read_text())
    stage(page, "issued")
    stage(cecilia.does(page, {"kind": "revoke-certificate"}, event="function-retired"), "revoked")


def finished(browser: Browser, page: Page, *, paper: bool) -> Page:
    """From the approval to the activation."""
    if paper:
        page = browser.simply(page, {"kind": "receipt", "form": "on-paper"}, sha256="ab" * 32)
    else:
        page = browser.answer(browser.send(page.form(what="receipt")), HOLDER_PINS)
        page = browser.simply(page, {"kind": "receipt"})
    page = browser.answer(browser.send(page.form(what="requests")), HOLDER_PINS)
    page = browser.simply(page, {"kind": "issuance"})
    page = browser.simply(page, {"kind": "delivery"})
    return stage(browser.simply(page, {"kind": "activation"}), "Slutförd")


def reserve_card(cecilia: Browser, disa: Browser):
    """A reserve card of trust level 3: two administrators approve, and the receipt is on paper."""
    new_card(cecilia, RESERVE_CARD)
    until = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() + 10 * 86400))
    page = cecilia.simply(
        cecilia.see("/orders/new"), {"kind": "prepare"}, given_name="Åsa", surname="Öberg", number=PERSON, hsa_id=HSA_ID,
        card_number=RESERVE_CARD, organisation="2321000131", organisation_name="Sigill Test", routine="reserve-card-3",
        role="reserve-card-administrator-3", family="reserve-card-2023", valid_until=until,
        profile=["reserve-hsaid-3-authentication", "reserve-hsaid-3-signature"])
    order = urllib.parse.urlsplit(page.url).path
    page = cecilia.simply(stage(page, "Beställd"), {"kind": "evidence"})
    page = stage(cecilia.simply(page, {"kind": "approvals"}), "Identifierad")
    refused = cecilia.simply(page, {"kind": "approvals"})
    assert "order-duties" in refused.text, refused.text
    page = stage(disa.simply(disa.see(order), {"kind": "approvals"}), "Godkänd")
    page = finished(disa, page, paper=True)
    assert "on-paper" in page.text, page.text


def again(anna: Browser, bertil: Browser, old: str, event: str, card: str, surname: str = "Öberg") -> str:
    """Another eID in the place of one: the old one ends in the act that takes the new one into use. The path of the new one."""
    new = f"/orders/new?replaces_eid={old.rsplit('/', 1)[1]}"
    assert any(link.startswith("/orders/new?") for link in anna.see(old).links)
    page = anna.simply(anna.see(new), {"kind": "prepare"}, given_name="Åsa", surname=surname, number=PERSON, hsa_id=HSA_ID,
                       card_number=card, replaces_event=event, organisation="2321000131", organisation_name="Sigill Test")
    order = urllib.parse.urlsplit(page.url).path
    listed = anna.send(anna.see("/orders").form(action="/orders"), strikes_before="2099-01-01T00:00:00Z",
                       organisation="2321000131")
    assert (order in listed.links) == (event == "name-changed"), listed.text
    anna.simply(page, {"kind": "evidence"})
    page = stage(bertil.simply(bertil.see(order), {"kind": "approvals"}), "Godkänd")
    page = bertil.answer(bertil.send(page.form(what="receipt")), HOLDER_PINS)
    page = bertil.simply(page, {"kind": "receipt"})
    page = bertil.answer(bertil.send(page.form(what="requests")), HOLDER_PINS)
    page = bertil.simply(page, {"kind": "issuance"})
    page = bertil.simply(page, {"kind": "delivery"})
    stage(anna.see(old), "Aktiv")
    page = stage(bertil.does(page, {"kind": "activation"}), "Slutförd")
    assert "spärrat revoked 20" in page.text, page.text
    stage(anna.see(old), "Spärrad")
    living = [eid for eid in found(anna, person=PERSON) if anna.see(eid).after("Läge Stage") == "Aktiv"]
    assert len(living) == 1, living
    return living[0]


def replaced(anna: Browser, bertil: Browser, eid: str) -> str:
    """A second card is refused; it replaces the first, is updated, and bears another name in the end."""
    new_card(anna, NEW_CARD)
    refused = anna.simply(anna.see("/orders/new"), {"kind": "prepare"}, given_name="Åsa", surname="Öberg", number=PERSON,
                          hsa_id=HSA_ID, card_number=NEW_CARD)
    assert "order-enough-carriers" in refused.text, refused.text
    eid = again(anna, bertil, eid, "replaced", NEW_CARD)
    eid = again(anna, bertil, eid, "updated", NEW_CARD)
    return again(anna, bertil, eid, "name-changed", NEW_CARD, "Åberg")


def restricted(cecilia: Browser):
    """Trust level 2 has ended, by a dated rule."""
    refused = cecilia.simply(
        cecilia.see("/orders/new"), {"kind": "prepare"}, given_name="Åsa", surname="Öberg", number=PERSON, hsa_id=HSA_ID,
        card_number=RESERVE_CARD, organisation="2321000131", organisation_name="Sigill Test", routine="office-visit-2",
        profile=["person-hsaid-2-authentication", "person-hsaid-2-signature"])
    assert "restricted-by-rule" in refused.text, refused.text


def extra(cecilia: Browser, disa: Browser) -> str:
    """An extra eID of another organisation on the holder's card; the path of its page."""
    parent = (cecilia.world.folder / "area").read_text().strip()
    cecilia.simply(cecilia.see("/organisations"), {"kind": "add-organisation"}, kind_of="third-party", parent=parent,
                   name="Vårdhemmet", number=OTHER)
    page = disa.simply(
        disa.see("/orders/new"), {"kind": "prepare"}, given_name="Åsa", surname="Öberg", number=PERSON,
        hsa_id="TST5565594230-1201", card_number=NEW_CARD, organisation=OTHER, organisation_name="Vårdhemmet",
        issuing="2321000131", issuing_name="Sigill Test", profile=["extra-hsaid-3-authentication", "extra-hsaid-3-signature"])
    order = urllib.parse.urlsplit(page.url).path
    disa.simply(page, {"kind": "evidence"})
    page = stage(cecilia.simply(cecilia.see(order), {"kind": "approvals"}), "Godkänd")
    finished(cecilia, page, paper=False)
    on_card = found(cecilia, card_number=NEW_CARD)
    assert len(on_card) > 1, on_card
    return next(eid for eid in on_card if OTHER in cecilia.see(eid).text)


def unsigned(world: World, order: str):
    """With all that the portal has, and nobody's card: nothing."""
    text = (world.folder / "portal.toml").read_text()
    url = text.split('url           = "')[1].split('"')[0]
    tls = world.home / "tls"
    said = subprocess.run(
        ["curl", "--silent", "--cacert", tls / "management-ca.pem", "--cert", tls / "portal.pem", "--key", tls / "portal.key",
         "--header", "Idempotency-Key: stolen-1", "--header", "Content-Type: application/json", "--data", "{}",
         f"{url}/v1{order}/cancellation"], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["code"] == "actor-statement-required", said.stdout


def main():
    home, programs, portal, reader = sys.argv[1:]
    world = World(Path(home), Path(programs), portal, reader)
    try:
        anna, bertil, cecilia, disa = (Browser(world, who) for who in (ANNA, BERTIL, CECILIA, DISA))
        new_card(anna, CARD)
        taken_back(anna)
        order = ordered(anna, bertil)
        unsigned(world, order)
        eids = eids_of(world)
        assert eids == 5, f"{eids} eIDs: four administrators have one each, and the holder one"
        eid = replaced(anna, bertil, searched(anna))
        restricted(cecilia)
        reserve_card(cecilia, disa)
        organised(cecilia)
        function(cecilia)
        revoked(anna, cecilia, eid, extra(cecilia, disa))
        print(f"the portal was killed {world.portal.kills} times")
    finally:
        world.end()


def eids_of(world: World) -> int:
    """How many eIDs the organisation has, as the CA says."""
    tls = world.home / "tls"
    command = [Path(sys.argv[2]) / "sigill", "--json", "--cert", tls / "portal.pem", "--key", tls / "portal.key", "--ca",
               tls / "management-ca.pem", "--url"]
    text = (world.folder / "portal.toml").read_text()
    url = text.split('url           = "')[1].split('"')[0]
    said = subprocess.run([*command, url, "eid", "list", "--organisation", "2321000131"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return len(json.loads(said.stdout)["items"])


if __name__ == "__main__":
    main()
