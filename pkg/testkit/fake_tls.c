/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define DAY 86400

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake_api: %s\n", what);
	abort();
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(ext && X509_add_ext(cert, ext, -1), value);
	X509_EXTENSION_free(ext);
}

/* Not signed yet. */
static X509 *new_cert(const char *name, EVP_PKEY *key, X509 *issuer, int days)
{
	static long serial = 1;
	X509 *cert = X509_new();
	X509_NAME *subject;

	must(cert != NULL, "certificate");
	subject = X509_get_subject_name(cert);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), __atomic_fetch_add(&serial, 1, 0));
	X509_gmtime_adj(X509_getm_notBefore(cert), -3 * DAY);
	X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * DAY);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
				   0);
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject);
	must(X509_set_pubkey(cert, key), "public key");
	return cert;
}

static char *pem_of(X509 *cert, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes, *copy;
	long n;

	must(bio && PEM_write_bio_X509(bio, cert), "PEM");
	must(!key || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), "PEM");
	n = BIO_get_mem_data(bio, &bytes);
	copy = mem_printf("%.*s", (int)n, bytes);
	BIO_free(bio);
	return copy;
}

void fake_ca_init(struct fake_ca *ca)
{
	ca->key = EVP_EC_gen("P-256");
	must(ca->key != NULL, "key");
	ca->cert = new_cert("fake CA", ca->key, NULL, 1);
	add_extension(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign");
	must(X509_sign(ca->cert, ca->key, EVP_sha256()) > 0, "sign");
	ca->pem = pem_of(ca->cert, NULL);
}

void fake_ca_done(struct fake_ca *ca)
{
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
	free(ca->pem);
}

SSL_CTX *fake_tls_server(const struct fake_ca *ca, const struct fake_faults *f)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509 *cert;

	must(key && ctx, "key");
	cert = new_cert("apiserver", key, ca->cert, f->expired ? -1 : 1);
	add_extension(cert, ca->cert, NID_subject_alt_name,
		      f->wrong_name ? "DNS:kubernetes.test" : "DNS:localhost,IP:127.0.0.1");
	must(X509_sign(cert, ca->key, EVP_sha256()) > 0, "sign");
	must(SSL_CTX_use_certificate(ctx, cert) && SSL_CTX_use_PrivateKey(ctx, key), "use");
	if (f->old_tls) {
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	}
	must(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->cert), "store");
	SSL_CTX_set_verify(ctx,
			   SSL_VERIFY_PEER | (f->need_client ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
			   NULL);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

char *fake_tls_client(const struct fake_ca *ca, const char *user)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert;
	char *pem;

	must(key != NULL, "key");
	cert = new_cert(user, key, ca->cert, 1);
	must(X509_sign(cert, ca->key, EVP_sha256()) > 0, "sign");
	pem = pem_of(cert, key);
	X509_free(cert);
	EVP_PKEY_free(key);
	return pem;
}
