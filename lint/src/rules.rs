//! The catalogue: every rule with its name, its clause and what it demands.
//!
//! A rule's name starts with the id of the requirement it serves. Names are stable: they stand in
//! audit entries and in refusals.

use crate::finding::RuleId;

/// One rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its stable name.
    pub id: RuleId,
    /// Where it is written.
    pub clause: &'static str,
    /// What it demands.
    pub demands: &'static str,
}

/// Requirements whose rules no profile may except itself from: strict DER, serial numbers, keys, signatures, what
/// CAs and responders are, names of issuers, and agreement with the profile itself.
pub const NEVER_IGNORED: [&str; 13] = [
    "pro-01", "pro-03", "pro-12", "pro-14", "pro-15", "pro-23", "iss-02", "iss-08", "iss-09",
    "iss-11", "iss-12", "api-09", "ocsp-12",
];

impl Rule {
    /// Whether a profile may except itself from this rule, with a reason.
    #[must_use]
    pub fn may_be_ignored(&self) -> bool {
        let requirement = self.id.as_str().split('/').next().unwrap_or_default();
        !requirement.starts_with("promise") && !NEVER_IGNORED.contains(&requirement)
    }
}

/// Makes one constant a rule and [`RULES`] of them all, so that none is left out.
macro_rules! catalogue {
    ($($name:ident = $id:literal, $clause:literal, $demands:literal;)*) => {
        $(pub(crate) const $name: Rule =
            Rule { id: RuleId::new($id), clause: $clause, demands: $demands };)*
        /// Every rule of this room.
        pub static RULES: &[Rule] = &[$($name),*];
    };
}

// PRO-01: strict DER, in certificates, CRLs and OCSP responses alike.
catalogue! {
    DEFINITE_LENGTH = "pro-01/definite-length", "X.690 §10.1",
        "every length is of the definite form";
    MINIMAL_LENGTH = "pro-01/minimal-length", "X.690 §10.1",
        "every length is in the fewest octets";
    TAG_FORM = "pro-01/tag-form", "X.690 §8.1.2.2",
        "every identifier is one octet";
    CONSTRUCTED = "pro-01/constructed", "X.690 §10.2",
        "SEQUENCE and SET are constructed, other universal types primitive";
    COMPLETE = "pro-01/complete", "X.690 §8.1.3",
        "every value is as long as its length says and lies inside the one around it";
    NO_TRAILING_OCTETS = "pro-01/no-trailing-octets", "X.690 §8.1.1",
        "nothing follows a value that stands alone";
    DEPTH = "pro-01/depth", "RFC 5280 Appendix A",
        "values are nested at most 32 levels deep";
    STRUCTURE = "pro-01/structure", "RFC 5280 Appendix A, RFC 6960 Appendix B",
        "the values form the ASN.1 type";
    MINIMAL_INTEGER = "pro-01/minimal-integer", "X.690 §8.3.2",
        "INTEGER and ENUMERATED are in the fewest octets";
    BOOLEAN = "pro-01/boolean", "X.690 §11.1",
        "BOOLEAN is 00 or FF";
    BIT_STRING_PADDING = "pro-01/bit-string-padding", "X.690 §11.2.1",
        "unused bits are 0 to 7 and zero";
    NAMED_BITS = "pro-01/named-bits", "X.690 §11.2.2 (Mozilla bug 1796803)",
        "a BIT STRING with named bits has no trailing zero";
    NULL_EMPTY = "pro-01/null-empty", "X.690 §8.8.2",
        "NULL has no contents";
    OID_FORM = "pro-01/oid-form", "X.690 §8.19.2",
        "arcs of an OBJECT IDENTIFIER are whole and in the fewest octets";
    SET_ORDER = "pro-01/set-order", "X.690 §11.6",
        "the parts of a SET OF ascend";
    DEFAULT_OMITTED = "pro-01/default-omitted", "X.690 §11.5",
        "what equals its default is left out";

    UTF8_STRING = "pro-02/utf8-string", "RFC 5280 §4.1.2.4, RFC 3629",
        "UTF8String is UTF-8 without control characters";
    PRINTABLE_STRING = "pro-02/printable-string", "X.680 §41.4 (Mozilla bug 1509512)",
        "PrintableString keeps its alphabet";
    IA5_STRING = "pro-02/ia5-string", "RFC 5280 §4.2.1.6, X.680 §41",
        "IA5String has seven bits and no control characters";
    NORMAL_FORM = "pro-02/normal-form", "RFC 4518 §2.3, RFC 6818 §3",
        "names in UTF8String are in normalization form C";
    OUTER_SPACE = "pro-02/outer-space", "RFC 4518 §2.6.1",
        "no name begins or ends with a space";
    DIRECTORY_STRING = "pro-02/directory-string", "RFC 5280 §4.1.2.4, §4.1.2.6",
        "a DirectoryString is PrintableString or UTF8String";
    PRINTABLE_ATTRIBUTE = "pro-02/printable-attribute", "RFC 5280 Appendix A.1",
        "countryName, serialNumber and dnQualifier are PrintableString";
    IA5_ATTRIBUTE = "pro-02/ia5-attribute", "RFC 5280 Appendix A.1",
        "emailAddress and domainComponent are IA5String";
    COUNTRY = "pro-02/country", "X.520 §6.3.1",
        "countryName is two capital letters";
    ATTRIBUTE_LENGTH = "pro-02/attribute-length", "RFC 5280 Appendix A.1 (Mozilla bug 1528290)",
        "an attribute has at least one character and at most its upper bound";

    UTC_TIME = "pro-06/utc-time", "RFC 5280 §4.1.2.5.1",
        "UTCTime is YYMMDDHHMMSSZ";
    GENERALIZED_TIME = "pro-06/generalized-time", "RFC 5280 §4.1.2.5.2, RFC 6960 §4.2.2.1",
        "GeneralizedTime is YYYYMMDDHHMMSSZ";
    CALENDAR = "pro-06/calendar", "RFC 5280 §4.1.2.5",
        "a time is a day and a time of day that exist";
    TIME_CHOICE = "pro-06/time-choice", "RFC 5280 §4.1.2.5, §5.1.2.4",
        "times through 2049 are UTCTime, later ones GeneralizedTime";
    WELL_DEFINED_END = "pro-06/well-defined-end", "RFC 5280 §4.1.2.5",
        "notAfter is not 99991231235959Z";
    VALIDITY_ORDER = "pro-06/validity-order", "RFC 5280 §4.1.2.5",
        "notBefore is not after notAfter";

    SERIAL = "iss-02/serial", "RFC 5280 §4.1.2.2",
        "the serial number is positive, not zero, at most 20 octets";
    SERIAL_FORM = "iss-02/serial-form", "TLS BR §7.1 (Mozilla bugs 1532842, 1534147)",
        "a serial number of ours is 16 octets that begin with the bits 01";
    KEY_ALGORITHM = "iss-11/key-algorithm", "RFC 5480 §2.1.1, RFC 4055 §1.2, RFC 8410 §3",
        "a key is RSA, on a named P-256 or P-384, or Ed25519, with the parameters of its standard";
    EC_POINT = "iss-11/ec-point", "RFC 5480 §2.2",
        "a point is uncompressed and of its curve's length";
    RSA_MODULUS = "iss-11/rsa-modulus", "TLS BR §6.1.5, RFC 8017 §3.1 (Parsovs 2020)",
        "an RSA modulus is odd and has at least 2048 bits";
    RSA_EXPONENT = "iss-11/rsa-exponent", "TLS BR §6.1.6",
        "an RSA exponent is odd, at least 65537 and below 2^256";
    ISSUER_KEY = "iss-12/issuer-key", "Tillitsramverk K6.4 (Parsovs 2020)",
        "nobody is certified for the issuer's own key";
    WITHIN_ISSUER_VALIDITY = "iss-08/within-issuer-validity", "ETSI EN 319 411-1 GEN-6.3.3-05",
        "notAfter is not past the issuer's";
    FIVE_YEARS = "iss-09/five-years", "Tillitsramverk K6.5",
        "a person's certificate is valid at most five years";
    ALGORITHMS_AGREE = "api-09/algorithms-agree", "RFC 5280 §4.1.1.2, §5.1.1.2",
        "the signature algorithm outside is the one inside";
    ALGORITHM_FITS_KEY = "ocsp-12/algorithm-fits-key", "RFC 4055 §3.1, §5, RFC 5758 §3.2, RFC 8410 §3",
        "the signature algorithm is known, well written and of the signer's kind of key";

    PERSON_SUBJECT = "pro-07/person-subject", "ETSI EN 319 412-2 NAT-4.2.4-1 to -4",
        "a person has one country, common name and serialNumber, and a name or a pseudonym";
    ATTRIBUTE_ONCE = "pro-07/attribute-once", "ETSI EN 319 412-2 GEN-4.2.3.1-5, NAT-4.2.4-3",
        "an attribute stands at most once, domainComponent and organizationalUnitName excepted";
    SINGLE_VALUED = "pro-07/single-valued", "RFC 5280 §4.1.2.4, RFC 4514 §2",
        "a RelativeDistinguishedName is one attribute";
    CARD_NUMBER = "pro-07/card-number", "SS 61 43 32, ISO/IEC 7812-1",
        "a card number is 19 digits in PrintableString, and a person's";
    NO_IMPLIED_SEMANTICS = "pro-08/no-implied-semantics", "ETSI EN 319 412-1 NAT-5.1.3-02 to -07",
        "a person's serialNumber has no form whose meaning only qcStatements could give";
    KEY_USAGE_PRESENT = "pro-09/key-usage-present", "RFC 5280 §4.2.1.3",
        "keyUsage is stated";
    KEY_USAGE_CRITICAL = "pro-09/key-usage-critical", "RFC 5280 §4.2.1.3",
        "keyUsage is critical";
    KEY_USAGE = "pro-09/key-usage", "ETSI EN 319 412-2 NAT-4.3.2-1 to -3",
        "keyUsage is that of the kind of certificate; nonRepudiation stands alone";
    KEY_USAGE_FITS_KEY = "pro-09/key-usage-fits-key", "RFC 8813 §3",
        "a key that cannot encipher says no encipherment";
    EXTENDED_KEY_USAGE = "pro-09/extended-key-usage", "RFC 5280 §4.2.1.12",
        "purposes are those of the kind of certificate";
    PURPOSE_ONCE = "pro-09/purpose-once", "RFC 5280 §4.2.1.12",
        "a purpose stands at most once";
    POLICIES_PRESENT = "pro-10/policies-present", "ETSI EN 319 411-1 GEN-6.3.3-12",
        "a policy states the trust level";
    POLICY_ONCE = "pro-10/policy-once", "RFC 5280 §4.2.1.4",
        "a policy stands at most once";
    PRACTICE_STATEMENT = "pro-10/practice-statement", "RFC 5280 §4.2.1.4",
        "a CPS qualifier is an IA5String with an http or https URI";
    POLICY_QUALIFIER = "pro-10/policy-qualifier", "RFC 5280 §4.2.1.4",
        "qualifiers are CPS and user notice, the latter without noticeRef";
    WEB_POLICY = "pro-10/web-policy", "TLS BR §7.1.6.1",
        "a policy of the CA/Browser Forum is for functions, and at most one";
    NO_ANY_POLICY = "pro-10/no-any-policy", "ETSI EN 319 412-2 GEN-4.3.3-2",
        "anyPolicy is for CAs";

    PROFILE_SIGNATURE = "pro-03/profile-signature", "the profile and its issuer",
        "the signature algorithm is the issuer's";
    PROFILE_ATTRIBUTES = "pro-03/profile-attributes", "the profile",
        "the subject has the profile's attributes in the profile's order";
    PROFILE_STRINGS = "pro-03/profile-strings", "the profile",
        "the subject's strings have the profile's types";
    PROFILE_FIXED_VALUES = "pro-03/profile-fixed-values", "the profile",
        "attributes whose value the profile says have it";
    PROFILE_EXTENSIONS = "pro-03/profile-extensions", "the profile",
        "the extensions are the profile's, in the profile's order";
    PROFILE_CRITICAL = "pro-03/profile-critical", "the profile",
        "those extensions are critical that the profile makes critical";
    PROFILE_VALUES = "pro-03/profile-values", "the profile and its issuer",
        "an extension says what the profile and its issuer say";

    OCSP_SIGNING = "pro-12/ocsp-signing", "RFC 6960 §4.2.2.2",
        "a responder's only purpose is OCSPSigning";
    OCSP_SIGNING_ELSEWHERE = "pro-12/ocsp-signing-elsewhere", "ETSI EN 319 411-1 CSS-6.6.3-01B (sub-CAs of July 2020)",
        "nobody but a responder has OCSPSigning";
    NO_CHECK = "pro-12/no-check", "RFC 6960 §4.2.2.2.1",
        "a responder, and nobody else, has nocheck with NULL";
    NO_STATUS_POINTERS = "pro-12/no-status-pointers", "RFC 6960 §4.2.2.2.1",
        "a responder's certificate points to no OCSP and no CRL";
    SHORT_LIFE = "pro-12/short-life", "RFC 6960 §4.2.2.2.1",
        "a responder's certificate lives at most 398 days";

    DISTRIBUTION_POINT = "pro-13/distribution-point", "ETSI EN 319 412-2 GEN-4.3.11-1 (Mozilla bug 1654967)",
        "a URI leads to the CRL";
    AUTHORITY_INFORMATION = "pro-13/authority-information", "ETSI EN 319 412-2 GEN-4.4.1-3",
        "URIs lead to the OCSP responder and to the issuer's certificate";
    HTTP_URI = "pro-13/http-uri", "RFC 5280 §4.2.1.13, §4.2.2.1",
        "pointers are absolute http URIs";

    ABSOLUTE_URI = "pro-13/absolute-uri", "RFC 5280 §4.2.1.6",
        "a URI among alternative names has a scheme";

    VERSION = "pro-14/version", "RFC 5280 §4.1.2.1",
        "a certificate with extensions is version 3";
    NO_UNIQUE_IDENTIFIERS = "pro-14/no-unique-identifiers", "RFC 5280 §4.1.2.8",
        "there are no unique identifiers";
    CA_SUBJECT = "pro-14/ca-subject", "RFC 5280 §4.1.2.6",
        "a CA's subject is not empty";
    CA_NAME = "pro-14/ca-name", "ETSI EN 319 412-2 GEN-4.2.3.1-2, -5",
        "a CA has one country, one organisation and one common name";
    OTHER_SUBJECT = "pro-14/other-subject", "RFC 5280 §3.2, §6.1",
        "a subject under a CA does not have that CA's name";
    KEY_IDENTIFIER_METHOD = "pro-14/key-identifier-method", "RFC 5280 §4.2.1.2",
        "the subject key identifier is the SHA-1 of the key's bits";
    KEY_IDENTIFIER_ALONE = "pro-14/key-identifier-alone", "RFC 5280 §4.2.1.1",
        "the authority key identifier is the key identifier alone";
    SUBJECT_KEY_IDENTIFIER = "pro-14/subject-key-identifier", "RFC 5280 §4.2.1.2",
        "the subject key identifier is there";
    AUTHORITY_KEY_IDENTIFIER = "pro-14/authority-key-identifier", "RFC 5280 §4.2.1.1",
        "the authority key identifier is there, except in self-signed certificates";
    AUTHORITY_KEY_IDENTIFIER_BYTES = "pro-14/authority-key-identifier-bytes", "RFC 5280 §4.2.1.1",
        "the authority key identifier is the issuer's subject key identifier";
    BASIC_CONSTRAINTS_OF_CA = "pro-14/basic-constraints-of-ca", "RFC 5280 §4.2.1.9",
        "a CA's certificate says cA TRUE";
    BASIC_CONSTRAINTS_CRITICAL = "pro-14/basic-constraints-critical", "RFC 5280 §4.2.1.9",
        "a CA's basicConstraints are critical";
    END_ENTITY_IS_NO_CA = "pro-14/end-entity-is-no-ca", "RFC 5280 §4.2.1.9",
        "an end entity's certificate does not say cA TRUE";
    PATH_LENGTH = "pro-14/path-length", "RFC 5280 §4.2.1.9",
        "pathLenConstraint stands only beside cA TRUE";
    KEY_CERT_SIGN = "pro-14/key-cert-sign", "RFC 5280 §4.2.1.3",
        "a CA has keyCertSign and, outside management, cRLSign";
    ISSUER_MAY_SIGN = "pro-14/issuer-may-sign", "RFC 5280 §4.2.1.3, §4.2.1.9",
        "the issuer's certificate allows it to sign certificates or CRLs";
    ISSUER_PATH_LENGTH = "pro-14/issuer-path-length", "RFC 5280 §4.2.1.9",
        "no CA stands below pathLenConstraint 0";

    ISSUER_BYTES = "pro-15/issuer-bytes", "RFC 5280 §4.1.2.6, §5.1.2.3",
        "the issuer is the byte copy of the issuing certificate's subject";

    EXTENSION_ONCE = "pro-16/extension-once", "RFC 5280 §4.2",
        "an extension stands at most once";
    NOT_CRITICAL = "pro-16/not-critical", "RFC 5280 §4.2.1, §4.2.2, §5.2, §5.3",
        "extensions that must not be critical are not";
    KNOWN_CRITICAL = "pro-16/known-critical", "RFC 5280 §4.2, §5.2; RFC 6960 §4.4",
        "no critical extension but those that relying parties know";
    ALTERNATIVE_NAME_CRITICAL = "pro-16/alternative-name-critical", "RFC 5280 §4.2.1.6",
        "subjectAltName is critical where the subject is empty, and only there";
    ALTERNATIVE_NAME_ONCE = "pro-16/alternative-name-once", "RFC 5280 §4.2.1.6",
        "an alternative name stands at most once";
    NO_PATH_EXTENSIONS = "pro-16/no-path-extensions", "ETSI EN 319 412-2 §4.3",
        "extensions about paths are for CAs";

    DNS_NAME = "pro-17/dns-name", "RFC 5280 §4.2.1.6, RFC 1034 §3.5",
        "a dNSName is letters, digits and hyphens in labels, no address and no dot at the end";
    A_LABEL = "pro-17/a-label", "RFC 9549 §2.3, §2.4, §2.5; RFC 5890 §2.3.2.1, RFC 3492 §6.2",
        "a label with hyphens in its third and fourth place is Punycode";
    MAIL_ADDRESS = "pro-17/mail-address", "RFC 5280 §4.2.1.6, §7.5, RFC 5321 §4.1.2",
        "an rfc822Name is a local part and a host in small letters";
    SMTP_UTF8_MAILBOX = "pro-17/smtp-utf8-mailbox", "RFC 9598 §3",
        "SmtpUTF8Mailbox is for local parts that are not ASCII, its host in A-labels and small letters";
    BYTE_ORDER_MARK = "pro-17/byte-order-mark", "RFC 9598 §3",
        "an SmtpUTF8Mailbox has no byte order mark";
    UPN_FORM = "pro-17/upn-form", "Microsoft KB 281245, RFC 5280 §4.2.1.6",
        "a user principal name is a UTF8String of user and realm";
    EXPLICIT_TEXT = "pro-17/explicit-text", "RFC 6818 §3",
        "an explicitText is a UTF8String of 1 to 200 characters";
    NO_MAIL_IN_SUBJECT = "pro-17/no-mail-in-subject", "RFC 5280 §4.1.2.6",
        "a mail address stands in subjectAltName, not in the subject";

    FUNCTION_SUBJECT = "pro-20/function-subject", "ETSI EN 319 412-4 §4.1, SITHS",
        "a function has one country, organisation, common name and serialNumber";
    NAME_FORMS = "pro-20/name-forms", "ETSI EN 319 412-2 §4.3.5, ETSI EN 319 412-4 §4.1",
        "a person is named by logon name and mail, a function by its hosts";
    QUALIFIED_NAME = "pro-20/qualified-name", "TLS BR §4.2.2",
        "a function's dNSName has a domain";
    COMMON_NAME_IN_ALTERNATIVE_NAMES = "pro-20/common-name-in-alternative-names", "RFC 6125 §6.4.4",
        "a function's common name is one of its dNSNames";
    NO_QC_STATEMENTS = "pro-23/no-qc-statements", "ETSI EN 319 412-5 QCS-4.1-02",
        "no claim of a qualified certificate";
    NO_QUALIFIED_POLICY = "pro-23/no-qualified-policy", "ETSI EN 319 411-2 §5.3, EN 319 412-5 QCS-4.1-02",
        "no policy of a qualified certificate";
    DEPLOYMENT_URI = "promise-8/deployment-uri", "ARCHITECTURE.md, promise 8",
        "a management certificate names its deployment in one URI";

    VERSION_2 = "crl-01/version-2", "RFC 5280 §5.1.2.1",
        "a CRL with extensions is version 2";
    NEXT_UPDATE = "crl-01/next-update", "RFC 5280 §5.1.2.5",
        "nextUpdate is there";
    UPDATE_ORDER = "crl-01/update-order", "RFC 5280 §5.1.2.5",
        "nextUpdate is after thisUpdate";
    CRL_AUTHORITY_KEY_IDENTIFIER = "crl-01/authority-key-identifier", "RFC 5280 §5.2.1",
        "a CRL has the authority key identifier";
    CRL_NUMBER = "crl-01/crl-number", "RFC 5280 §5.2.3, §5.2.4",
        "a CRL has a number of at most 20 octets, not below its base's";
    EMPTY_LIST_ABSENT = "crl-01/empty-list-absent", "RFC 5280 §5.1.2.6",
        "a list without entries is left out";
    POINT_CRITICAL = "crl-06/point-critical", "RFC 5280 §5.2.5",
        "the issuing distribution point is critical";
    POINT_NOT_EMPTY = "crl-06/point-not-empty", "RFC 5280 §5.2.5",
        "the issuing distribution point is not empty";
    POINT_SCOPE = "crl-06/point-scope", "RFC 5280 §5.2.5 (Mozilla bugs 1819422, 2007297)",
        "the issuing distribution point names one kind, all reasons, its own issuer";
    ALL_REASONS = "crl-07/all-reasons", "RFC 5280 §4.2.1.13",
        "a distribution point covers all reasons and its own issuer";
    DELTA_CRITICAL = "crl-08/delta-critical", "RFC 5280 §5.2.4",
        "the delta indicator is critical";
    FRESHEST_ONLY_IN_FULL = "crl-08/freshest-only-in-full", "RFC 5280 §5.2.6",
        "a delta CRL has no freshestCRL";
    SERIAL_ORDER = "crl-11/serial-order", "RFC 5280 §5.1.2.6",
        "entries ascend by serial number, each once";
    REASON = "rev-04/reason", "RFC 5280 §5.3.1 (Mozilla bug 1914419)",
        "a reason says something: not 0, 7 or 10; 8 in delta CRLs alone";

    RESPONSE_BYTES = "ocsp-02/response-bytes", "RFC 6960 §4.2.1",
        "an answer stands beside successful, and only there";
    EXTENDED_REVOKE = "ocsp-03/extended-revoke", "RFC 6960 §2.2, §4.4.8",
        "who calls revoked what was never issued says so, and gives hold as the reason";
    CERT_ID = "ocsp-05/cert-id", "RFC 6960 §4.1.1",
        "the hashes of a CertID have their algorithm's length and are the issuer's";
    BY_KEY = "ocsp-06/by-key", "RFC 9919 §3.2.1",
        "the responder is named by its key";
    RESPONDER_KEY = "ocsp-06/responder-key", "RFC 6960 §4.2.1",
        "the responder's name is the SHA-1 of the certificate's key";
    CERTIFICATE_INCLUDED = "ocsp-06/certificate-included", "RFC 6960 §4.2.1",
        "the delegate's certificate, and no other, is included";
    OCSP_NEXT_UPDATE = "ocsp-07/next-update", "RFC 5019 §2.2.4 (Mozilla bug 1878106)",
        "nextUpdate is there";
    TIME_ORDER = "ocsp-07/time-order", "RFC 6960 §2.4",
        "thisUpdate is not after producedAt, which is before nextUpdate";
    WITHIN_RESPONDER_VALIDITY = "ocsp-07/within-responder-validity", "RFC 6960 §4.2.2.2",
        "no answer outlives its signer's certificate";
    NONCE = "ocsp-08/nonce", "RFC 9654 §2.1",
        "a nonce has 1 to 128 octets";
    SOME_ANSWER = "ocsp-14/some-answer", "RFC 6960 §4.2.2.3",
        "there is an answer";
    UNKNOWN_IS_SHORT = "promise-5/unknown-is-short", "ARCHITECTURE.md, promise 5",
        "unknown, and revoked for never issued, is kept at most 60 seconds";
}
