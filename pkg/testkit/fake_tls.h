/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Certificates for fake_api.c, made as they are needed; failure ends the process. */
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "testkit/fake_api.h"

struct fake_ca {
	EVP_PKEY *key;
	X509 *cert;
	char *pem;
};

void fake_ca_init(struct fake_ca *ca);
void fake_ca_done(struct fake_ca *ca);
SSL_CTX *fake_tls_server(const struct fake_ca *ca, const struct fake_faults *f);
char *fake_tls_client(const struct fake_ca *ca, const char *user); /* certificate and key, PEM */
