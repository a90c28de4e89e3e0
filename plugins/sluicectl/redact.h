/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Takes out of a text what nobody else should see:
 *
 *	what is known to be a secret	wherever its bytes stand: keys and tokens of the files
 *					that the settings name
 *	by its name			the value of "token: …", "password=…", "client-key-data": …
 *	by its looks			private keys, Bearer and JSON web tokens, user:password@
 *
 * Rather too much than too little. JSON stays JSON.
 */
#include <stdbool.h>
#include <stddef.h>

struct redactor {
	char **secrets;
	size_t n;
};

#define REDACTED "[redacted]"

void redactor_learn_file(struct redactor *r, const char *path);
/* The secrets of a kubeconfig, and of the files that it names. */
void redactor_learn_kubeconfig(struct redactor *r, const char *path);
void redactor_done(struct redactor *r);

/* Malloc'd. len may hold any bytes. */
char *redact(const struct redactor *r, const char *text, size_t len, size_t *ret_len);
