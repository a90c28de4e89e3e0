/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records are read by what may be a newer or older build than the one that wrote
 * them: members that are not known are skipped, those that are must have the
 * right type and range, and "version" says when that is not enough.
 */
#include "state/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "json/json.h"

#define RECORD_VERSION 1

static const char *const kind_names[] = {
	[ATTACH_VETH] = "veth",
	[ATTACH_MACVLAN] = "macvlan",
	[ATTACH_NONE] = "none",
};

enum field_type { FIELD_STRING, FIELD_U32, FIELD_U64, FIELD_I64 };

struct field {
	const char *key;
	enum field_type type;
	size_t offset;
	bool required;
};

#define FIELD(key, type, member, required)                           \
	{                                                            \
		key, type, offsetof(struct record, member), required \
	}

/* What is plain; kind, hostIfname, mac, addresses and labels have their own form. */
static const struct field fields[] = {
	FIELD("containerID", FIELD_STRING, container_id, true),
	FIELD("ifname", FIELD_STRING, ifname, true),
	FIELD("network", FIELD_STRING, network, false),
	FIELD("netns", FIELD_STRING, netns, false),
	FIELD("netnsID", FIELD_U64, netns_id, false),
	FIELD("namespace", FIELD_STRING, namespace, false),
	FIELD("pod", FIELD_STRING, pod, false),
	FIELD("uid", FIELD_STRING, uid, false),
	FIELD("ifindex", FIELD_U32, ifindex, false),
	FIELD("policy", FIELD_U32, policy, false),
	FIELD("audit", FIELD_U32, audit, false),
	FIELD("key", FIELD_U64, key, false),
	FIELD("spread", FIELD_U32, spread, false),
	FIELD("flags", FIELD_U32, flags, false),
	FIELD("bootID", FIELD_STRING, boot_id, false),
	FIELD("addedAt", FIELD_I64, added_at, false),
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static void *field_at(const struct record *r, const struct field *f)
{
	return (void *)((uintptr_t)r + f->offset);
}

void record_free(struct record *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < N_FIELDS; i++)
		if (fields[i].type == FIELD_STRING)
			free(*(char **)field_at(r, &fields[i]));
	free(r->labels);
	free(r);
}

/* ---- writing ---- */

/* 64-bit values are not safe as JSON numbers in other readers: hex text. */
static struct json *u64_emit(uint64_t v)
{
	char buf[17];

	snprintf(buf, sizeof(buf), "%016" PRIx64, v);
	return json_new_string(buf);
}

static void field_emit(struct json *obj, const struct record *r, const struct field *f)
{
	const void *p = field_at(r, f);
	const char *s;

	switch (f->type) {
	case FIELD_STRING:
		s = *(char *const *)p;
		if (s)
			json_set(obj, f->key, json_new_string(s));
		return;
	case FIELD_U32:
		json_set(obj, f->key, json_new_int(*(const uint32_t *)p));
		return;
	case FIELD_U64:
		json_set(obj, f->key, u64_emit(*(const uint64_t *)p));
		return;
	case FIELD_I64:
		json_set(obj, f->key, json_new_int(*(const int64_t *)p));
		return;
	}
}

static struct json *addrs_emit(const struct record *r)
{
	struct json *arr = json_new_array();

	for (size_t i = 0; i < r->n_addrs && i < RECORD_MAX_ADDRS; i++)
		json_append(arr, json_new_string(addr_str(r->addrs[i])));
	return arr;
}

/* NULL when none is known: then the member is left out. */
static struct json *prefixes_emit(const struct record *r)
{
	struct json *arr = NULL;

	for (size_t i = 0; i < r->n_addrs && i < RECORD_MAX_ADDRS; i++)
		if (r->prefix_lens[i])
			arr = arr ? arr : json_new_array();
	for (size_t i = 0; arr && i < r->n_addrs && i < RECORD_MAX_ADDRS; i++)
		json_append(arr, json_new_int(r->prefix_lens[i]));
	return arr;
}

static struct json *labels_emit(const char *labels)
{
	struct json *tree = NULL;

	if (!labels || json_parse(labels, strlen(labels), &tree, NULL) < 0)
		return NULL;
	return tree;
}

char *record_emit(const struct record *r)
{
	__cleanup_json struct json *obj = json_new_object();
	struct json *labels = labels_emit(r->labels);
	struct json *prefixes = prefixes_emit(r);
	char mac[18];

	json_set(obj, "version", json_new_int(RECORD_VERSION));
	for (size_t i = 0; i < N_FIELDS; i++)
		field_emit(obj, r, &fields[i]);
	json_set(obj, "kind", json_new_string(kind_names[r->kind]));
	json_set(obj, "hostIfname", json_new_string(r->host_ifname));
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", r->mac[0], r->mac[1], r->mac[2],
		 r->mac[3], r->mac[4], r->mac[5]);
	json_set(obj, "mac", json_new_string(mac));
	json_set(obj, "addresses", addrs_emit(r));
	if (prefixes)
		json_set(obj, "prefixLengths", prefixes);
	if (labels)
		json_set(obj, "labels", labels);
	return json_emit(obj, 0);
}

/* ---- reading ---- */

static int u64_parse(const struct json *j, uint64_t *ret, struct err *e)
{
	const char *s;
	char *end;
	int r;

	r = json_string(j, &s, e);
	if (r < 0)
		return r;
	if (strlen(s) != 16 || strspn(s, "0123456789abcdef") != 16)
		return err_set(e, -EINVAL, "%s: expected 16 hex digits", json_path(j));
	*ret = strtoull(s, &end, 16);
	return 0;
}

static int string_parse(const struct json *j, char **ret, struct err *e)
{
	const char *s;
	int r = json_string(j, &s, e);

	if (r < 0)
		return r;
	free(*ret);
	*ret = mem_strdup(s);
	return 0;
}

static int field_parse(struct record *rec, const struct field *f, const struct json *j,
		       struct err *e)
{
	void *p = field_at(rec, f);
	int64_t v;
	int r;

	switch (f->type) {
	case FIELD_STRING:
		return string_parse(j, p, e);
	case FIELD_U64:
		return u64_parse(j, p, e);
	case FIELD_I64:
		return json_int(j, 0, INT64_MAX, p, e);
	case FIELD_U32:
		r = json_int(j, 0, UINT32_MAX, &v, e);
		if (r == 0)
			*(uint32_t *)p = (uint32_t)v;
		return r;
	}
	return -EINVAL;
}

static int fields_parse(struct record *rec, const struct json *obj, struct err *e)
{
	for (size_t i = 0; i < N_FIELDS; i++) {
		const struct json *j = json_get(obj, fields[i].key);
		int r;

		if (!j && fields[i].required)
			return err_set(e, -EINVAL, "%s: missing", fields[i].key);
		if (!j)
			continue;
		r = field_parse(rec, &fields[i], j, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int kind_parse(const struct json *j, enum attach_kind *ret, struct err *e)
{
	const char *s;
	int r = json_string(j, &s, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(kind_names) / sizeof(kind_names[0]); i++) {
		if (strcmp(s, kind_names[i]) == 0) {
			*ret = (enum attach_kind)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "kind '%s': expected veth, macvlan or none", s);
}

static int mac_parse(const struct json *j, uint8_t mac[6], struct err *e)
{
	unsigned int v[6];
	const char *s;
	int end = 0;
	int r = json_string(j, &s, e);

	if (r < 0)
		return r;
	if (strlen(s) != 17 ||
	    sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
		   &end) != 6 ||
	    end != 17)
		return err_set(e, -EINVAL, "mac '%s': expected six octets", s);
	for (size_t i = 0; i < 6; i++)
		mac[i] = (uint8_t)v[i];
	return 0;
}

static int addrs_parse(const struct json *j, struct record *rec, struct err *e)
{
	int r = json_expect(j, JSON_ARRAY, e);

	if (r < 0)
		return r;
	if (json_len(j) > RECORD_MAX_ADDRS)
		return err_set(e, -EINVAL, "addresses: more than %d", RECORD_MAX_ADDRS);
	for (size_t i = 0; i < json_len(j); i++) {
		const char *s;

		r = json_string(json_at(j, i), &s, e);
		if (r < 0)
			return r;
		if (addr_parse(s, &rec->addrs[i]) < 0)
			return err_set(e, -EINVAL, "addresses[%zu] '%s': not an address", i, s);
	}
	rec->n_addrs = json_len(j);
	return 0;
}

static int prefixes_parse(const struct json *j, struct record *rec, struct err *e)
{
	int r = json_expect(j, JSON_ARRAY, e);

	for (size_t i = 0; r == 0 && i < json_len(j) && i < rec->n_addrs; i++) {
		int64_t len;

		r = json_int(json_at(j, i), 0, addr_is_v4(rec->addrs[i]) ? 32 : 128, &len, e);
		if (r == 0)
			rec->prefix_lens[i] = (uint8_t)len;
	}
	return r;
}

static int host_ifname_parse(const struct json *j, struct record *rec, struct err *e)
{
	const char *s;
	int r = json_string(j, &s, e);

	if (r < 0)
		return r;
	if (strlen(s) >= sizeof(rec->host_ifname))
		return err_set(e, -EINVAL, "hostIfname '%s': longer than 15", s);
	memset(rec->host_ifname, 0, sizeof(rec->host_ifname));
	memcpy(rec->host_ifname, s, strlen(s));
	return 0;
}

static int special_parse(struct record *rec, const struct json *obj, struct err *e)
{
	const struct json *j;
	int r;

	r = kind_parse(json_get(obj, "kind"), &rec->kind, e);
	if (r < 0)
		return r;
	j = json_get(obj, "hostIfname");
	r = j ? host_ifname_parse(j, rec, e) : 0;
	if (r < 0)
		return r;
	j = json_get(obj, "mac");
	r = j ? mac_parse(j, rec->mac, e) : 0;
	if (r < 0)
		return r;
	j = json_get(obj, "addresses");
	r = j ? addrs_parse(j, rec, e) : 0;
	if (r < 0)
		return r;
	j = json_get(obj, "prefixLengths");
	r = j ? prefixes_parse(j, rec, e) : 0;
	if (r < 0)
		return r;
	j = json_get(obj, "labels");
	if (!j)
		return 0;
	r = json_expect(j, JSON_OBJECT, e);
	if (r == 0)
		rec->labels = json_emit(j, 0);
	return r;
}

static int version_check(const struct json *obj, struct err *e)
{
	int64_t version;
	int r;

	r = json_expect(obj, JSON_OBJECT, e);
	if (r < 0)
		return r;
	r = json_int(json_get(obj, "version"), 1, INT64_MAX, &version, e);
	if (r < 0)
		return r;
	if (version > RECORD_VERSION)
		return err_set(e, -EPROTO, "version %lld is newer than this build (%d)",
			       (long long)version, RECORD_VERSION);
	return 0;
}

int record_parse(const char *text, size_t len, struct record **ret, struct err *e)
{
	__cleanup(record_freep) struct record *rec = mem_alloc0(sizeof(*rec));
	__cleanup_json struct json *obj = NULL;
	int r;

	r = json_parse(text, len, &obj, e);
	if (r < 0)
		return r;
	r = version_check(obj, e);
	if (r < 0)
		return r;
	r = fields_parse(rec, obj, e);
	if (r < 0)
		return r;
	r = special_parse(rec, obj, e);
	if (r < 0)
		return r;
	*ret = TAKE(rec);
	return 0;
}
