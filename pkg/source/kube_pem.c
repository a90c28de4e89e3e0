/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/kube_conf_priv.h"

/* ---- base64 (RFC 4648), with the line breaks that people put in ---- */

static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *d = c ? strchr(digits, c) : NULL;

	return d ? (int)(d - digits) : -1;
}

static int base64_decode(const char *s, struct kube_pem *ret)
{
	size_t len = 0, n = 0, padding = 0;
	char *out = mem_alloc0(strlen(s) / 4 * 3 + 4);
	uint32_t bits = 0;

	for (; *s; s++) {
		int v = base64_value(*s);

		if (strchr(" \t\r\n", *s))
			continue;
		if (*s == '=' && n % 4 >= 2 && padding < 2)
			padding++, v = 0;
		else if (v < 0 || padding)
			break;
		bits = bits << 6 | (uint32_t)v;
		if (++n % 4)
			continue;
		out[len++] = (char)(bits >> 16);
		out[len++] = (char)(bits >> 8);
		out[len++] = (char)bits;
	}
	if (*s || n % 4) {
		free(out);
		return -EINVAL;
	}
	len -= padding;
	out[len] = '\0';
	ret->data = out;
	ret->len = len;
	return 0;
}

int kube_pem_get(const struct json *obj, const char *key, const char *config, struct kube_pem *ret,
		 struct err *e)
{
	__cleanup_free char *data_key = mem_printf("%s-data", key);
	const char *file, *data;
	int r = kube_conf_string(obj, key, &file, e);

	if (r == 0)
		r = kube_conf_string(obj, data_key, &data, e);
	if (r < 0)
		return r;
	if (!data) {
		ret->file = file ? kube_conf_beside(config, file) : NULL;
		return 0;
	}
	if (base64_decode(data, ret) < 0)
		return err_set(e, -EINVAL, "%s.%s: not base64", json_path(obj), data_key);
	if (!memmem(ret->data, ret->len, "-----BEGIN ", 11))
		return err_set(e, -EINVAL, "%s.%s: no PEM in it (-----BEGIN …)", json_path(obj),
			       data_key);
	return 0;
}

bool kube_pem_given(const struct kube_pem *p)
{
	return p->file || p->data;
}

struct kube_pem kube_pem_dup(const struct kube_pem *p)
{
	return (struct kube_pem){
		.file = mem_strdup(p->file),
		.data = p->data ? mem_dup(p->data, p->len) : NULL,
		.len = p->len,
	};
}

void kube_pem_done(struct kube_pem *p)
{
	free(p->file);
	free(p->data);
}
