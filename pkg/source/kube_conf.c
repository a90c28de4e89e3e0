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
#include "source/kube_conf_priv.h"

#define FILE_MAX  (1024 * 1024) /* of the namespace */
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

/* "" of a string and false count as not written. */
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
			return err_set(e, -EOPNOTSUPP, "%s.%s: %s", json_path(obj), list[i].key,
				       list[i].word);
	return 0;
}

int kube_conf_string(const struct json *obj, const char *key, const char **ret, struct err *e)
{
	const struct json *j = json_get(obj, key);
	int r = 0;

	*ret = NULL;
	if (is_written(j))
		r = json_string(j, ret, e);
	return r;
}

/* ---- pieces of a kubeconfig ---- */

char *kube_conf_beside(const char *config, const char *path)
{
	const char *slash = strrchr(config, '/');

	if (path[0] == '/' || !slash)
		return mem_strdup(path);
	return mem_printf("%.*s/%s", (int)(slash - config), config, path);
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
		r = kube_conf_string(cluster, "server", &server, e);
	if (r == 0)
		r = kube_conf_string(cluster, "tls-server-name", &name, e);
	if (r < 0)
		return r;
	if (!server)
		return err_set(e, -EINVAL, "%s.server: missing", json_path(cluster));
	c->tls_name = mem_strdup(name);
	r = set_server(c, server, e);
	if (r < 0)
		return err_wrap(e, "%s", json_path(cluster));
	return kube_pem_get(cluster, "certificate-authority", config, &c->ca, e);
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
		r = kube_conf_string(user, "token", &token, e);
	if (r == 0)
		r = kube_conf_string(user, "tokenFile", &file, e);
	if (r == 0)
		r = kube_pem_get(user, "client-certificate", config, &c->cert, e);
	if (r == 0)
		r = kube_pem_get(user, "client-key", config, &c->key, e);
	if (r < 0)
		return r;
	if (kube_pem_given(&c->cert) != kube_pem_given(&c->key))
		return err_set(e, -EINVAL, "%s: client-certificate and client-key go together",
			       json_path(user));
	if (token && !is_one_word(token, strlen(token)))
		return err_set(e, -EINVAL, "%s.token: more than one word in it", json_path(user));
	c->token = mem_strdup(token);
	c->token_file = file ? kube_conf_beside(config, file) : NULL;
	return 0;
}

static int load_context(const struct kube_context *x, struct kube_conf *c, struct err *e)
{
	int r = get_cluster(x->cluster.value, x->cluster.file, c, e);

	if (r < 0)
		return err_wrap(e, "%s", x->cluster.file);
	if (x->user.value)
		r = get_user(x->user.value, x->user.file, c, e);
	if (r < 0)
		return err_wrap(e, "%s", x->user.file);
	c->namespace = mem_strdup(x->namespace ? x->namespace : "default");
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

static int load(const char *paths, const char *context, struct kube_conf *ret, struct err *e)
{
	__cleanup_kube_conf struct kube_conf c = {0};
	__cleanup(kube_context_done) struct kube_context x = {0};
	int r = kube_context_read(paths, context, &x, e);

	if (r == 0)
		r = load_context(&x, &c, e);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct kube_conf){0};
	return 0;
}

int kube_conf_load(const char *kubeconfig, struct kube_conf *ret, struct err *e)
{
	return kubeconfig ? load(kubeconfig, NULL, ret, e)
			  : kube_conf_load_pod(KUBE_SERVICE_ACCOUNT, ret, e);
}

int kube_conf_load_context(const char *paths, const char *context, struct kube_conf *ret,
			   struct err *e)
{
	return load(paths, context, ret, e);
}

int kube_conf_token(const struct kube_conf *c, char **ret, struct err *e)
{
	*ret = NULL;
	if (c->token_file)
		return load_line(c->token_file, TOKEN_MAX, ret, e);
	*ret = mem_strdup(c->token);
	return 0;
}

void kube_conf_dup(const struct kube_conf *c, struct kube_conf *ret)
{
	*ret = (struct kube_conf){
		.server = mem_strdup(c->server),
		.tls_name = mem_strdup(c->tls_name),
		.ca = kube_pem_dup(&c->ca),
		.cert = kube_pem_dup(&c->cert),
		.key = kube_pem_dup(&c->key),
		.token = mem_strdup(c->token),
		.token_file = mem_strdup(c->token_file),
		.namespace = mem_strdup(c->namespace),
	};
}

void kube_conf_done(struct kube_conf *c)
{
	free(c->server);
	free(c->tls_name);
	kube_pem_done(&c->ca);
	kube_pem_done(&c->cert);
	kube_pem_done(&c->key);
	free(c->token);
	free(c->token_file);
	free(c->namespace);
	*c = (struct kube_conf){0};
}
