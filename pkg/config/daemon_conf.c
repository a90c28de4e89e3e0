/* SPDX-License-Identifier: Apache-2.0 */
#include "config/daemon_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "config/plugin_conf.h"
#include "json/json.h"

#define CONF_MAX_BYTES (1u << 20)
#define CONF_MAX_LIST  1024

typedef int (*key_parse_fn)(struct daemon_conf *c, void *field, const struct json *j,
			    struct err *e);

static int text_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	char **p = field;
	const char *s;
	int r = json_string(j, &s, e);

	if (r < 0)
		return r;
	if (!*s)
		return err_set(e, -EINVAL, "%s: empty", json_path(j));
	free(*p);
	*p = mem_strdup(s);
	return 0;
}

static int folder_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	const char *s;
	int r = json_string(j, &s, e);

	if (r < 0)
		return r;
	if (*s != '/')
		return err_set(e, -EINVAL, "%s '%s': expected an absolute path", json_path(j), s);
	return text_parse(c, field, j, e);
}

static int list_expect(const struct json *j, struct err *e)
{
	int r = json_expect(j, JSON_ARRAY, e);

	if (r < 0)
		return r;
	if (json_len(j) > CONF_MAX_LIST)
		return err_set(e, -EINVAL, "%s: more than %d items", json_path(j), CONF_MAX_LIST);
	return 0;
}

static int cidrs_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	__cleanup_free struct cidr *list = NULL;
	size_t n = json_len(j);
	int r = list_expect(j, e);

	if (r < 0)
		return r;
	list = mem_alloc0(n * sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		const char *s;

		r = json_string(json_at(j, i), &s, e);
		if (r < 0)
			return r;
		r = cidr_parse(s, &list[i]);
		if (r)
			return err_set(e, -EINVAL, "%s '%s': %s", json_path(json_at(j, i)), s,
				       cidr_parse_reason(r));
	}
	free(c->cluster_cidrs);
	c->cluster_cidrs = TAKE(list);
	c->n_cluster_cidrs = n;
	return 0;
}

static void source_exempt_done(struct daemon_conf *c)
{
	for (size_t i = 0; i < c->n_source_exempt; i++)
		free(c->source_exempt[i]);
	free(c->source_exempt);
	c->source_exempt = NULL;
	c->n_source_exempt = 0;
}

static int source_exempt_parse(struct daemon_conf *c, void *field, const struct json *j,
			       struct err *e)
{
	int r = list_expect(j, e);

	if (r < 0)
		return r;
	source_exempt_done(c);
	c->source_exempt = mem_alloc0(json_len(j) * sizeof(*c->source_exempt));
	for (size_t i = 0; i < json_len(j); i++) {
		const char *s;

		r = json_string(json_at(j, i), &s, e);
		if (r < 0)
			return r;
		c->source_exempt[c->n_source_exempt++] = mem_strdup(s);
	}
	return 0;
}

static int event_log_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	const char *s;
	int r = json_string(j, &s, e);

	if (r < 0)
		return r;
	return strcmp(s, "-") == 0 ? text_parse(c, field, j, e) : folder_parse(c, field, j, e);
}

static int bool_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	return json_bool(j, field, e);
}

static int port_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	int64_t v = 0;
	int r = json_int(j, 1, UINT16_MAX, &v, e);

	if (r == 0)
		*(uint16_t *)field = (uint16_t)v;
	return r;
}

/* Brackets around an IPv4 address, too: who fills in "[$(HOST_IP)]" need not know what it is. */
static int host_parse(const char *s, size_t len, struct addr *ret)
{
	char host[ADDR_STRLEN];
	bool brackets = len >= 2 && s[0] == '[' && s[len - 1] == ']';

	*ret = (struct addr){0};
	if (len == 0)
		return 0;
	s += brackets;
	len -= brackets ? 2 : 0;
	if (len >= sizeof(host) || (!brackets && memchr(s, ':', len)))
		return -EINVAL;
	memcpy(host, s, len);
	host[len] = '\0';
	return addr_parse(host, ret);
}

int daemon_conf_metrics(struct daemon_conf *c, const char *value, struct err *e)
{
	const char *colon = strrchr(value, ':');
	unsigned long port = 0;
	struct addr a;
	char *end;

	if (colon && colon[1] >= '0' && colon[1] <= '9')
		port = strtoul(colon + 1, &end, 10);
	if (!port || *end || port > UINT16_MAX ||
	    host_parse(value, (size_t)(colon - value), &a) < 0)
		return err_set(e, -EINVAL,
			       "'%s': expected an address and a port, such as 127.0.0.1:5347, "
			       "[::1]:5347 or :5347",
			       value);
	c->metrics_addr = a;
	c->metrics_port = (uint16_t)port;
	return 0;
}

static int metrics_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	const char *s;
	int r = json_string(j, &s, e);

	if (r == 0 && daemon_conf_metrics(c, s, e) < 0)
		return err_wrap(e, "%s", json_path(j));
	return r;
}

static int level_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	const char *s;
	int r = json_string(j, &s, e);

	if (r < 0)
		return r;
	if (log_level_parse(s, field) < 0)
		return err_set(e, -EINVAL, "%s '%s': expected error, warn, info or debug",
			       json_path(j), s);
	return 0;
}

static int format_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	const char *s;
	int r = json_string(j, &s, e);

	if (r < 0)
		return r;
	if (log_format_parse(s, field) < 0)
		return err_set(e, -EINVAL, "%s '%s': expected logfmt or json", json_path(j), s);
	return 0;
}

int cni_entry_parse(const struct json *j, struct json **ret, struct err *e)
{
	__cleanup_json struct json *entry = NULL;
	struct plugin_conf *p = NULL;
	const char *type;
	int r = json_expect(j, JSON_OBJECT, e);

	if (r < 0)
		return r;
	if (json_depth(j) > JSON_MAX_DEPTH - 2) /* the list around it */
		return err_set(e, -E2BIG, "nested too deep");
	entry = json_dup(j);
	if (!json_get(entry, "type"))
		json_set(entry, "type", json_new_string("sluice"));
	r = json_string(json_get(entry, "type"), &type, e);
	if (r == 0 && strcmp(type, "sluice") != 0)
		r = err_set(e, -EINVAL, "type '%.64s': expected sluice", type);
	if (r == 0)
		r = plugin_conf_parse(entry, &p, e);
	plugin_conf_free(p);
	if (r == 0)
		*ret = TAKE(entry);
	return r;
}

static int entry_parse(struct daemon_conf *c, void *field, const struct json *j, struct err *e)
{
	struct json *entry;
	int r = cni_entry_parse(j, &entry, e);

	if (r < 0)
		return err_wrap(e, "%s", json_path(j));
	json_free(c->cni_entry);
	c->cni_entry = entry;
	return 0;
}

static const struct key {
	const char *name;
	size_t offset;
	key_parse_fn parse;
} keys[] = {
	{"nodeName", offsetof(struct daemon_conf, node_name), text_parse},
	{"policyDir", offsetof(struct daemon_conf, policy_dir), folder_parse},
	{"kubeconfig", offsetof(struct daemon_conf, kubeconfig), folder_parse},
	{"kubernetes", offsetof(struct daemon_conf, kubernetes), bool_parse},
	{"namespace", offsetof(struct daemon_conf, namespace), text_parse},
	{"stateDir", offsetof(struct daemon_conf, state_dir), folder_parse},
	{"runDir", offsetof(struct daemon_conf, run_dir), folder_parse},
	{"bpffs", offsetof(struct daemon_conf, bpffs), folder_parse},
	{"clusterCIDRs", offsetof(struct daemon_conf, cluster_cidrs), cidrs_parse},
	{"sourceCheckExemptNamespaces", offsetof(struct daemon_conf, source_exempt),
	 source_exempt_parse},
	{"eventLog", offsetof(struct daemon_conf, event_log), event_log_parse},
	{"cniConfDir", offsetof(struct daemon_conf, cni_conf_dir), folder_parse},
	{"cniBinDir", offsetof(struct daemon_conf, cni_bin_dir), folder_parse},
	{"cniEntry", offsetof(struct daemon_conf, cni_entry), entry_parse},
	{"nodeTaint", offsetof(struct daemon_conf, node_taint), bool_parse},
	{"dockerUser", offsetof(struct daemon_conf, docker_user), bool_parse},
	{"gatewayKeyFile", offsetof(struct daemon_conf, gateway_key_file), folder_parse},
	{"gatewayInsecure", offsetof(struct daemon_conf, gateway_insecure), bool_parse},
	{"gatewayPort", offsetof(struct daemon_conf, gateway_port), port_parse},
	{"metricsAddress", offsetof(struct daemon_conf, metrics_addr), metrics_parse},
	{"logLevel", offsetof(struct daemon_conf, log_level), level_parse},
	{"logFormat", offsetof(struct daemon_conf, log_format), format_parse},
};

static const struct key *key_find(const char *name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

void daemon_conf_init(struct daemon_conf *c)
{
	struct utsname u;

	memset(c, 0, sizeof(*c));
	c->node_name = mem_strdup(uname(&u) == 0 ? u.nodename : "localhost");
	c->policy_dir = mem_strdup(CONF_POLICY_DIR);
	c->state_dir = mem_strdup(CONF_STATE_DIR);
	c->run_dir = mem_strdup(CONF_RUN_DIR);
	c->bpffs = mem_strdup(CONF_BPFFS);
	c->event_log = mem_strdup("-");
	c->cni_bin_dir = mem_strdup(CONF_CNI_BIN_DIR);
	c->gateway_port = CONF_GATEWAY_PORT;
	c->log_level = LOG_LEVEL_INFO;
	c->log_format = LOG_FORMAT_LOGFMT;
}

void daemon_conf_done(struct daemon_conf *c)
{
	free(c->node_name);
	free(c->policy_dir);
	free(c->kubeconfig);
	free(c->namespace);
	free(c->state_dir);
	free(c->run_dir);
	free(c->bpffs);
	free(c->event_log);
	free(c->gateway_key_file);
	free(c->cni_conf_dir);
	free(c->cni_bin_dir);
	json_free(c->cni_entry);
	free(c->cluster_cidrs);
	source_exempt_done(c);
	memset(c, 0, sizeof(*c));
}

static int members_parse(struct daemon_conf *c, const struct json *tree, struct err *e)
{
	int r = json_expect(tree, JSON_OBJECT, e);

	for (size_t i = 0; r == 0 && i < json_len(tree); i++) {
		const char *name = json_key_at(tree, i);
		const struct json *value = json_value_at(tree, i);
		const struct key *k = key_find(name);

		if (!k)
			r = err_set(e, -EINVAL, "unknown key '%s'", name);
		else
			r = k->parse(c, (char *)c + k->offset, value, e);
		if (r < 0)
			err_wrap(e, "line %d", json_line(value));
	}
	return r;
}

static int documents_parse(struct daemon_conf *c, struct yaml *y, struct err *e)
{
	__cleanup_json struct json *tree = NULL;
	__cleanup_json struct json *more = NULL;
	int r;

	r = yaml_next(y, &tree, e);
	if (r < 0 || !tree)
		return r; /* an empty file sets nothing */
	r = yaml_next(y, &more, e);
	if (r < 0)
		return r;
	if (more)
		return err_set(e, -EINVAL, "line %d: a second document", json_line(more));
	return members_parse(c, tree, e);
}

int daemon_conf_load(struct daemon_conf *c, const char *path, struct err *e)
{
	__cleanup_free char *text = NULL;
	struct yaml *y;
	size_t len;
	int r;

	r = atomic_file_load(AT_FDCWD, path ? path : CONF_FILE, CONF_MAX_BYTES, &text, &len, e);
	if (r == -ENOENT && !path)
		return 0;
	if (r < 0)
		return r;
	r = yaml_open(text, len, &y, e);
	if (r == 0) {
		r = documents_parse(c, y, e);
		yaml_close(y);
	}
	if (r < 0)
		err_wrap(e, "%s", path ? path : CONF_FILE);
	return r;
}
