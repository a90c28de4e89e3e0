/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a kubeconfig, and behind a NUL as a second one that counts as the same: refused in
 * one line, or a server by https alone, credentials that are whole, and nothing in them that
 * would be a second header of a request.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "source/kube_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_of(const char *text, size_t n)
{
	int fd = memfd_create("kubeconfig", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	return fd;
}

static void check_pem(const struct kube_pem *p)
{
	assert(!p->data || memmem(p->data, p->len, "-----BEGIN ", 11));
	assert(!(p->data && p->file));
}

static void check(const struct kube_conf *c)
{
	assert(strncasecmp(c->server, "https://", 8) == 0);
	assert(c->server[strlen(c->server) - 1] != '/' || strlen(c->server) == 8);
	check_pem(&c->ca);
	check_pem(&c->cert);
	check_pem(&c->key);
	assert((c->cert.file || c->cert.data) == (c->key.file || c->key.data));
	for (const char *s = c->token; s && *s; s++)
		assert(*s > ' ' && *s <= '~');
	assert(c->namespace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *nul = memchr(text, 0, size);
	size_t n = nul ? (size_t)(nul - text) : size;
	__cleanup_close int first = file_of(text, n);
	__cleanup_close int second = nul ? file_of(nul + 1, size - n - 1) : -1;
	__cleanup_free char *paths = nul ? mem_printf("/proc/self/fd/%d:/proc/self/fd/%d", first,
						      second)
					 : mem_printf("/proc/self/fd/%d", first);
	__cleanup_kube_conf struct kube_conf c = {0}, again = {0};
	struct err e = {0};

	if (kube_conf_load_context(paths, NULL, &c, &e) < 0) {
		assert(*e.msg && !strchr(e.msg, '\n') && !c.server);
		return 0;
	}
	check(&c);
	kube_conf_dup(&c, &again);
	check(&again);
	return 0;
}
