//! Rules for what policies say beside their number: practice statements, notices, and numbers with a reserved meaning.

use crate::Kind;
use crate::finding::Report;
use crate::oid::{self, Oid};
use crate::rules::{
    EXPLICIT_TEXT, NO_QUALIFIED_POLICY, POLICY_QUALIFIER, PRACTICE_STATEMENT, WEB_POLICY,
};
use crate::structure::Extension;
use crate::tree::{Node, tag};
use crate::values::text;

use super::Judged;

/// Characters of an explicitText (RFC 5280 §4.2.1.4).
const LONGEST_TEXT: usize = 200;

impl<'a> Judged<'_, 'a> {
    /// Each PolicyInformation of ours.
    fn policies(&self) -> impl Iterator<Item = &Node<'a>> {
        let extension = self.certificate.extensions.find(oid::ID_CE_CERTIFICATE_POLICIES);
        let policies = extension.filter(|_| self.kind != Kind::Imported).and_then(Extension::value);
        policies.into_iter().flat_map(|policies| &policies.parts)
    }

    fn policy_ids(&self) -> impl Iterator<Item = &Node<'a>> {
        self.policies().filter_map(|policy| policy.parts.first())
    }

    /// Each qualifier: what kind it is, and its value.
    fn qualifiers(&self) -> impl Iterator<Item = (&Node<'a>, &Node<'a>)> {
        let lists = self.policies().filter_map(|policy| policy.parts.get(1));
        lists.flat_map(|list| &list.parts).filter_map(|qualifier| {
            match qualifier.parts.as_slice() {
                [kind, value] => Some((kind, value)),
                _ => None,
            }
        })
    }

    pub(super) fn qualifiers_of(&self, kind: Oid) -> impl Iterator<Item = &Node<'a>> {
        let wanted = move |it: &Node<'_>| it.content == kind.as_bytes();
        self.qualifiers().filter(move |(kind, _)| wanted(kind)).map(|(_, value)| value)
    }
}

/// RFC 5280 §4.2.1.4: id-qt-cps is an IA5String with a URI; ours can be read in a browser.
pub(super) fn practice_statement(judged: &Judged<'_, '_>, report: &mut Report) {
    for value in judged.qualifiers_of(oid::ID_QT_CPS) {
        // A constructed string is another rule's.
        let is_ia5 = value.tag & !0x20 == tag::IA5_STRING;
        let uri = value.parts.first().map_or(value.content, |part| part.content);
        let host = uri.strip_prefix(b"https://").or_else(|| uri.strip_prefix(b"http://"));
        let sound = host.is_some_and(|host| {
            host.first().is_some_and(u8::is_ascii_alphanumeric)
                && host.iter().all(u8::is_ascii_graphic)
        });
        if !(is_ia5 && sound) {
            let seen = format!("cPSuri with tag {:02x}: {}", value.tag, text(uri));
            report.add(&PRACTICE_STATEMENT, value.offset, seen);
        }
    }
}

/// RFC 5280 §4.2.1.4: the two qualifiers that are defined there; a notice without noticeRef, which should not be used.
pub(super) fn policy_qualifier(judged: &Judged<'_, '_>, report: &mut Report) {
    for (kind, value) in judged.qualifiers() {
        let notice = kind.content == oid::ID_QT_UNOTICE.as_bytes();
        let refers = notice && value.parts.iter().any(|part| part.tag == tag::SEQUENCE);
        if refers || !notice && kind.content != oid::ID_QT_CPS.as_bytes() {
            let what = if refers { "noticeRef in " } else { "" };
            let seen = format!("{what}qualifier {}", oid::dotted(kind.content));
            report.add(&POLICY_QUALIFIER, value.offset, seen);
        }
    }
}

/// RFC 5280 §4.2.1.4 as of RFC 6818 §3: UTF8String of 1 to 200 characters. RFC 6818 bears VisibleString and BMPString;
/// ours has neither.
pub(super) fn explicit_text(judged: &Judged<'_, '_>, report: &mut Report) {
    let notices = judged.qualifiers_of(oid::ID_QT_UNOTICE);
    let texts = notices.flat_map(|notice| &notice.parts).filter(|part| part.tag != tag::SEQUENCE);
    for notice in texts {
        let characters = characters(notice);
        if notice.tag != tag::UTF8_STRING || !(1..=LONGEST_TEXT).contains(&characters) {
            let seen = format!("tag {:02x}, {characters} characters", notice.tag);
            report.add(&EXPLICIT_TEXT, notice.offset, seen);
        }
    }
}

fn characters(text: &Node<'_>) -> usize {
    std::str::from_utf8(text.content).map_or(text.content.len(), |text| text.chars().count())
}

/// TLS BR §7.1.6.1: the forum's policies promise rules for web servers, so no person's certificate and no CA's has
/// them, and a function's has one at most.
pub(super) fn web_policy(judged: &Judged<'_, '_>, report: &mut Report) {
    let at_most = usize::from(judged.kind == Kind::Function);
    let of_forum = |id: &&Node<'_>| id.content.starts_with(oid::WEB_POLICIES.as_bytes());
    for id in judged.policy_ids().filter(of_forum).skip(at_most) {
        report.add(&WEB_POLICY, id.offset, oid::dotted(id.content));
    }
}

/// EN 319 411-2 §5.3, EN 319 412-5 QCS-4.1-02: policies of qualified certificates, which none of ours is.
pub(super) fn no_qualified_policy(judged: &Judged<'_, '_>, report: &mut Report) {
    const QUALIFIED: [Oid; 2] = [oid::QUALIFIED_POLICIES, oid::QUALIFIED_POLICIES_OF_TS];
    for id in judged.policy_ids() {
        if QUALIFIED.iter().any(|arc| id.content.starts_with(arc.as_bytes())) {
            report.add(&NO_QUALIFIED_POLICY, id.offset, oid::dotted(id.content));
        }
    }
}
