/* SPDX-License-Identifier: Apache-2.0 */
/* Labels and selectors as values: what Kubernetes allows, and who matches. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "policy/doc_priv.h"

#define LABEL_MAX 63

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [A-Za-z0-9] at both ends, also -_. between. */
static bool is_label_text(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > LABEL_MAX || !is_alnum(s[0]) || !is_alnum(s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(s[i]) && !strchr("-_.", s[i]))
			return false;
	return true;
}

bool is_dns_label(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') && !(s[i] >= '0' && s[i] <= '9') && s[i] != '-')
			return false;
	return n > 0 && s[0] != '-' && s[n - 1] != '-';
}

bool is_dns_subdomain(const char *s, size_t n)
{
	const char *end = s + n;

	while (n <= DOC_MAX_NAME) {
		const char *dot = memchr(s, '.', (size_t)(end - s));

		if (!is_dns_label(s, (size_t)((dot ? dot : end) - s)))
			return false;
		if (!dot)
			return true;
		s = dot + 1;
	}
	return false;
}

int label_key_check(const char *key)
{
	const char *slash = key ? strchr(key, '/') : NULL;

	if (!key || (slash && !is_dns_subdomain(key, (size_t)(slash - key))))
		return -EINVAL;
	return is_label_text(slash ? slash + 1 : key) ? 0 : -EINVAL;
}

int label_value_check(const char *value)
{
	return value && (!*value || is_label_text(value)) ? 0 : -EINVAL;
}

/* ---- labels ---- */

/* Where key is, or has to go: *ret_found tells. */
static size_t labels_find(const struct labels *labels, const char *key, bool *ret_found)
{
	size_t lo = 0, hi = labels->n;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(labels->items[mid].key, key);

		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const char *labels_get(const struct labels *labels, const char *key)
{
	bool found;
	size_t i = labels_find(labels, key, &found);

	return found ? labels->items[i].value : NULL;
}

void labels_set(struct labels *labels, const char *key, const char *value)
{
	bool found;
	size_t i = labels_find(labels, key, &found);
	struct label *l;

	if (found) {
		free(labels->items[i].value);
		labels->items[i].value = mem_strdup(value);
		return;
	}
	MEM_GROW(labels->items, labels->n);
	l = labels->items + i;
	memmove(l + 1, l, (labels->n++ - i) * sizeof(*l));
	l->key = mem_strdup(key);
	l->value = mem_strdup(value);
}

void labels_done(struct labels *labels)
{
	for (size_t i = 0; i < labels->n; i++) {
		free(labels->items[i].key);
		free(labels->items[i].value);
	}
	free(labels->items);
	*labels = (struct labels){0};
}

/* ---- selectors ---- */

static int value_cmp(const void *key, const void *value)
{
	return strcmp(key, *(const char *const *)value);
}

static bool has_value(const struct selector_req *req, const char *value)
{
	return value && req->n_values &&
	       bsearch(value, req->values, req->n_values, sizeof(*req->values), value_cmp);
}

static bool req_matches(const struct selector_req *req, const char *value)
{
	switch (req->op) {
	case SEL_IN:
		return has_value(req, value);
	case SEL_NOT_IN:
		return !has_value(req, value); /* also without the label, as Kubernetes */
	case SEL_EXISTS:
		return value;
	case SEL_DOES_NOT_EXIST:
		return !value;
	}
	return false;
}

bool selector_matches(const struct selector *selector, const struct labels *labels)
{
	if (!selector->present)
		return false;
	for (size_t i = 0; i < selector->n; i++)
		if (!req_matches(selector->reqs + i, labels_get(labels, selector->reqs[i].key)))
			return false;
	return true;
}
