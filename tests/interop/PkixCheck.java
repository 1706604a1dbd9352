import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CRL;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Asks Java's PKIX path validator about a chain; every failure to learn a status is a refusal.
 *
 * Usage: PkixCheck configured|ocsp|ocsp=URL|crl DAYS ANCHOR.pem CHAIN.pem [CRL.der ...]. Judges as of DAYS days from now.
 * CHAIN holds leaf and issuing CA. With ocsp, CRLs are never consulted; with crl, OCSP never is, and
 * the CRLs are the given ones and those of the certificates' distribution points; with configured, Java does what its security
 * properties say. Prints one line,
 * "valid" or "refused: REASON: TEXT", and ends with 0 in both cases. With -Dpolicy=OID the chain must state that policy.
 */
public final class PkixCheck {
    public static void main(String[] arguments) throws Exception {
        boolean byCrl = arguments[0].equals("crl");
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        X509Certificate anchor = (X509Certificate) read(factory, arguments[2]).get(0);
        List<Certificate> chain = read(factory, arguments[3]);

        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(anchor, null)));
        parameters.setDate(Date.from(Instant.now().plus(Duration.ofDays(Long.parseLong(arguments[1])))));
        CertPathValidator validator = CertPathValidator.getInstance("PKIX");
        PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        checker.setOptions(byCrl ? EnumSet.of(Option.PREFER_CRLS, Option.NO_FALLBACK) : EnumSet.of(Option.NO_FALLBACK));
        if (arguments[0].startsWith("ocsp=")) {
            checker.setOcspResponder(URI.create(arguments[0].substring(5)));
        }
        if (!arguments[0].equals("configured")) {
            parameters.addCertPathChecker(checker);
        }
        String policy = System.getProperty("policy");
        if (policy != null) {
            parameters.setInitialPolicies(Set.of(policy));
            parameters.setExplicitPolicyRequired(true);
        }

        List<CRL> lists = new ArrayList<>();
        for (int number = 4; number < arguments.length; number++) {
            lists.add(factory.generateCRL(new ByteArrayInputStream(Files.readAllBytes(Path.of(arguments[number])))));
        }
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(lists)));

        try {
            validator.validate(factory.generateCertPath(chain), parameters);
            System.out.println("valid");
        } catch (CertPathValidatorException refusal) {
            System.out.println("refused: " + refusal.getReason() + ": " + refusal.getMessage());
        }
    }

    private static List<Certificate> read(CertificateFactory factory, String file) throws Exception {
        try (InputStream input = Files.newInputStream(Path.of(file))) {
            return new ArrayList<>(factory.generateCertificates(input));
        }
    }
}
