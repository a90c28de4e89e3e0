/* SPDX-License-Identifier: Apache-2.0 */
#include "source/kube_conf.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "json/json.h"

#define FILE_MAX  (1024 * 1024)
#define TOKEN_MAX (64 * 1024)

/* What somebody may have written there, and what we say to it. "" of a string and false count as
 * not written. */
struct refusal {
	const char *key, *word;
};

static const struct refusal cluster_refusals[] = {
	{"insecure-skip-tls-verify",
	 "not supported: give the cluster's CA in certificate-authority(-data)"},
	{"proxy-url", "not supported: give a server that is reached directly"},
};

static const struct refusal user_refusals[] = {
	{"exec", "plug-ins are not run: give a token, tokenFile or client-certificate"},
	{"auth-provider", "plug-ins are not run: give a token, tokenFile or client-certificate"},
	{"username", "the API has no passwords any more: give a token or client-certificate"},
	{"password", "the API has no passwords any more: give a token or client-certificate"},
	{"as", "impersonation is not supported: give the credentials of the user itself"},
	{"as-uid", "impersonation is not supported: give the credentials of the user itself"},
	{"as-groups", "impersonation is not supported: give the credentials of the user itself"},
	{"as-user-extra",
	 "impersonation is not supported: give the credentials of the user itself"},
};

static bool is_written(const struct json *j)
{
	const char *s;
	bool b;

	switch (json_type(j)) {
	case JSON_NULL:
		return false;
	case JSON_BOOL:
		return json_bool(j, &b, NULL) < 0 || b;
	case JSON_STRING:
		return json_string(j, &s, NULL) < 0 || *s;
	case JSON_ARRAY:
	case JSON_OBJECT:
		return json_len(j) > 0;
	default:
		return true;
	}
}

static int refuse(const struct json *obj, const struct refusal *list, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (is_written(json_get(obj, list[i].key)))
			return err_set(e, -EINVAL, "%s.%s: %s", json_path(obj), list[i].key,
				       list[i].word);
	return 0;
}

/* A string that may be absent or "": NULL. */
static int get_string(const struct json *obj, const char *key, const char **ret, struct err *e)
{
	const struct json *j = json_get(obj, key);
	int r = 0;

	*ret = NULL;
	if (is_written(j))
		r = json_string(j, ret, e);
	return r;
}

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

/* ---- pieces of a kubeconfig ---- */

static char *beside(const char *config, const char *path)
{
	const char *slash = strrchr(config, '/');

	if (path[0] == '/' || !slash)
		return mem_strdup(path);
	return mem_printf("%.*s/%s", (int)(slash - config), config, path);
}

/* "certificate-authority" or "certificate-authority-data", which wins, as with kubectl. */
static int get_pem(const struct json *obj, const char *key, const char *config,
		   struct kube_pem *ret, struct err *e)
{
	__cleanup_free char *data_key = mem_printf("%s-data", key);
	const char *file, *data;
	int r = get_string(obj, key, &file, e);

	if (r == 0)
		r = get_string(obj, data_key, &data, e);
	if (r < 0)
		return r;
	if (!data) {
		ret->file = file ? beside(config, file) : NULL;
		return 0;
	}
	if (base64_decode(data, ret) < 0)
		return err_set(e, -EINVAL, "%s.%s: not base64", json_path(obj), data_key);
	if (!memmem(ret->data, ret->len, "-----BEGIN ", 11))
		return err_set(e, -EINVAL, "%s.%s: no PEM in it (-----BEGIN …)", json_path(obj),
			       data_key);
	return 0;
}

static bool pem_is_given(const struct kube_pem *p)
{
	return p->file || p->data;
}

static bool has_part(CURLU *u, CURLUPart part)
{
	char *s = NULL;
	bool has = curl_url_get(u, part, &s, 0) == CURLUE_OK;

	curl_free(s);
	return has;
}

static int check_server(const char *server, struct err *e)
{
	CURLU *u = curl_url();
	int r = 0;

	if (!u)
		oom();
	if (strncasecmp(server, "https://", 8) != 0)
		r = err_set(e, -EINVAL, "server %s: only https:// is spoken", server);
	else if (curl_url_set(u, CURLUPART_URL, server, 0) != CURLUE_OK)
		r = err_set(e, -EINVAL, "server %s: not a URL", server);
	else if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_QUERY) ||
		 has_part(u, CURLUPART_FRAGMENT))
		r = err_set(e, -EINVAL, "server: user, query and fragment have no place in it");
	curl_url_cleanup(u);
	return r;
}

static int set_server(struct kube_conf *c, const char *server, struct err *e)
{
	size_t n = strlen(server);
	int r = check_server(server, e);

	while (n && server[n - 1] == '/')
		n--;
	if (r == 0)
		c->server = mem_printf("%.*s", (int)n, server);
	return r;
}

static int get_cluster(const struct json *cluster, const char *config, struct kube_conf *c,
		       struct err *e)
{
	const char *server, *name;
	int r = json_expect(cluster, JSON_OBJECT, e);

	if (r == 0)
		r = refuse(cluster, cluster_refusals,
			   sizeof(cluster_refusals) / sizeof(cluster_refusals[0]), e);
	if (r == 0)
		r = get_string(cluster, "server", &server, e);
	if (r == 0)
		r = get_string(cluster, "tls-server-name", &name, e);
	if (r < 0)
		return r;
	if (!server)
		return err_set(e, -EINVAL, "%s.server: missing", json_path(cluster));
	c->tls_name = mem_strdup(name);
	r = set_server(c, server, e);
	if (r < 0)
		return err_wrap(e, "%s", json_path(cluster));
	return get_pem(cluster, "certificate-authority", config, &c->ca, e);
}

/* What goes into a request has no place for another header in it. */
static bool is_one_word(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	return true;
}

static int get_user(const struct json *user, const char *config, struct kube_conf *c, struct err *e)
{
	const char *token, *file;
	int r = json_expect(user, JSON_OBJECT, e);

	if (r == 0)
		r = refuse(user, user_refusals, sizeof(user_refusals) / sizeof(user_refusals[0]),
			   e);
	if (r == 0)
		r = get_string(user, "token", &token, e);
	if (r == 0)
		r = get_string(user, "tokenFile", &file, e);
	if (r == 0)
		r = get_pem(user, "client-certificate", config, &c->cert, e);
	if (r == 0)
		r = get_pem(user, "client-key", config, &c->key, e);
	if (r < 0)
		return r;
	if (pem_is_given(&c->cert) != pem_is_given(&c->key))
		return err_set(e, -EINVAL, "%s: client-certificate and client-key go together",
			       json_path(user));
	if (token && !is_one_word(token, strlen(token)))
		return err_set(e, -EINVAL, "%s.token: more than one word in it", json_path(user));
	c->token = mem_strdup(token);
	c->token_file = file ? beside(config, file) : NULL;
	return 0;
}

/* The entry of the list that is called name: [{name: …, what: {…}}] */
static int find_named(const struct json *root, const char *list, const char *what, const char *name,
		      const struct json **ret, struct err *e)
{
	const struct json *entries = json_get(root, list);

	for (size_t i = 0; i < json_len(entries); i++) {
		const struct json *entry = json_at(entries, i);
		const char *its;

		if (json_string(json_get(entry, "name"), &its, NULL) < 0 || strcmp(its, name) != 0)
			continue;
		*ret = json_get(entry, what);
		return *ret ? 0 : err_set(e, -EINVAL, "%s.%s: missing", json_path(entry), what);
	}
	return err_set(e, -EINVAL, "%s: none is called \"%s\"", list, name);
}

struct context {
	const struct json *cluster, *user; /* user NULL: nobody */
	const char *namespace;
};

static int get_context(const struct json *root, struct context *ret, struct err *e)
{
	const char *name, *cluster, *user;
	const struct json *context;
	int r = get_string(root, "current-context", &name, e);

	if (r == 0 && !name)
		r = err_set(e, -EINVAL, "current-context: missing: name one of contexts");
	if (r == 0)
		r = find_named(root, "contexts", "context", name, &context, e);
	if (r == 0)
		r = get_string(context, "cluster", &cluster, e);
	if (r == 0)
		r = get_string(context, "user", &user, e);
	if (r == 0)
		r = get_string(context, "namespace", &ret->namespace, e);
	if (r == 0 && !cluster)
		r = err_set(e, -EINVAL, "%s.cluster: missing", json_path(context));
	if (r == 0)
		r = find_named(root, "clusters", "cluster", cluster, &ret->cluster, e);
	ret->user = NULL;
	if (r == 0 && user)
		r = find_named(root, "users", "user", user, &ret->user, e);
	return r;
}

static int read_document(const char *text, size_t len, struct json **ret, struct err *e)
{
	struct json *doc = NULL, *second = NULL;
	struct yaml *y;
	int r = yaml_open(text, len, &y, e);

	if (r < 0)
		return r;
	r = yaml_next(y, &doc, e);
	if (r == 0)
		r = yaml_next(y, &second, e);
	yaml_close(y);
	if (r == 0 && second)
		r = err_set(e, -EINVAL, "line %d: a second document", json_line(second));
	if (r == 0)
		r = json_expect(doc, JSON_OBJECT, e);
	json_free(second);
	if (r == 0)
		*ret = TAKE(doc);
	json_free(doc);
	return r;
}

static int load_file(const char *path, struct kube_conf *c, struct err *e)
{
	__cleanup_json struct json *root = NULL;
	__cleanup_free char *text = NULL;
	struct context context;
	size_t len;
	int r = atomic_file_load(AT_FDCWD, path, FILE_MAX, &text, &len, e);

	if (r < 0)
		return r; /* names the file */
	r = read_document(text, len, &root, e);
	if (r == 0)
		r = get_context(root, &context, e);
	if (r == 0)
		r = get_cluster(context.cluster, path, c, e);
	if (r == 0 && context.user)
		r = get_user(context.user, path, c, e);
	if (r < 0)
		return err_wrap(e, "%s", path);
	c->namespace = mem_strdup(context.namespace ? context.namespace : "default");
	return 0;
}

/* ---- within a pod ---- */

static int load_line(const char *path, size_t max, char **ret, struct err *e)
{
	__cleanup_free char *text = NULL;
	size_t len;
	int r = atomic_file_load(AT_FDCWD, path, max, &text, &len, e);

	if (r < 0)
		return r;
	while (len && strchr(" \t\r\n", text[len - 1]))
		len--;
	if (!is_one_word(text, len))
		return err_set(e, -EINVAL, "%s: more than one word in it", path);
	text[len] = '\0';
	if (!len)
		return err_set(e, -EINVAL, "%s: empty", path);
	*ret = TAKE(text);
	return 0;
}

static int load_pod(const char *folder, struct kube_conf *c, struct err *e)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	__cleanup_free char *server = NULL, *token = NULL, *file = NULL;
	int r;

	if (!host || !*host || !port || !*port)
		return err_set(e, -ENOENT,
			       "KUBERNETES_SERVICE_HOST and _PORT are not set: not in a pod? "
			       "Outside of one give a kubeconfig");
	server = mem_printf(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	r = set_server(c, server, e);
	if (r < 0)
		return err_wrap(e, "KUBERNETES_SERVICE_HOST and _PORT");
	c->ca.file = mem_printf("%s/ca.crt", folder);
	c->token_file = mem_printf("%s/token", folder);
	file = mem_printf("%s/namespace", folder);
	r = load_line(file, FILE_MAX, &c->namespace, e);
	if (r == -ENOENT)
		c->namespace = mem_strdup("default");
	else if (r < 0)
		return r;
	return kube_conf_token(c, &token, e);
}

int kube_conf_load_pod(const char *folder, struct kube_conf *ret, struct err *e)
{
	__cleanup_kube_conf struct kube_conf c = {0};
	int r = load_pod(folder, &c, e);

	if (r < 0)
		return r;
	*ret = c;
	c = (struct kube_conf){0};
	return 0;
}

int kube_conf_load(const char *kubeconfig, struct kube_conf *ret, struct err *e)
{
	__cleanup_kube_conf struct kube_conf c = {0};
	int r;

	if (!kubeconfig)
		return kube_conf_load_pod(KUBE_SERVICE_ACCOUNT, ret, e);
	r = load_file(kubeconfig, &c, e);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct kube_conf){0};
	return 0;
}

int kube_conf_token(const struct kube_conf *c, char **ret, struct err *e)
{
	*ret = NULL;
	if (c->token_file)
		return load_line(c->token_file, TOKEN_MAX, ret, e);
	*ret = mem_strdup(c->token);
	return 0;
}

static struct kube_pem pem_dup(const struct kube_pem *p)
{
	return (struct kube_pem){
		.file = mem_strdup(p->file),
		.data = p->data ? mem_dup(p->data, p->len) : NULL,
		.len = p->len,
	};
}

static void pem_done(struct kube_pem *p)
{
	free(p->file);
	free(p->data);
}

void kube_conf_dup(const struct kube_conf *c, struct kube_conf *ret)
{
	*ret = (struct kube_conf){
		.server = mem_strdup(c->server),
		.tls_name = mem_strdup(c->tls_name),
		.ca = pem_dup(&c->ca),
		.cert = pem_dup(&c->cert),
		.key = pem_dup(&c->key),
		.token = mem_strdup(c->token),
		.token_file = mem_strdup(c->token_file),
		.namespace = mem_strdup(c->namespace),
	};
}

void kube_conf_done(struct kube_conf *c)
{
	free(c->server);
	free(c->tls_name);
	pem_done(&c->ca);
	pem_done(&c->cert);
	pem_done(&c->key);
	free(c->token);
	free(c->token_file);
	free(c->namespace);
	*c = (struct kube_conf){0};
}
