#!/bin/sh
# Judges a certificate as strictly as OpenSSL can: chain, purpose, the CRLs of leaf and issuing CA, and OCSP.
#   openssl.sh LEAF.pem ISSUING.pem ROOT.pem CRLS.pem
# CRLS.pem holds the CRLs of the root and of the issuing CA, PEM, one behind the other. Ends with 0 if the certificate holds.
set -eu
leaf=$1 issuing=$2 root=$3 crls=$4
openssl verify -x509_strict -crl_check_all -purpose sslclient \
  -CAfile "$root" -untrusted "$issuing" -CRLfile "$crls" "$leaf"
url=$(openssl x509 -in "$leaf" -noout -ocsp_uri | head -n 1)
said=$(openssl ocsp -issuer "$issuing" -cert "$leaf" -url "$url" -CAfile "$root" -verify_other "$issuing" 2>&1)
echo "$said"
# What is not good is refused: revoked, unknown, and an answer that nobody can verify.
echo "$said" | grep -q '^Response verify OK'
echo "$said" | grep -q "^$leaf: good"
