/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "by_kubectl.h"
#include "loop/loop.h"
#include "source/kube.h"
#include "source/kube_conf.h"
#include "source/kube_watch.h"

#define PATIENCE_MS 30000 /* for a server that is busy or just coming up */
#define OBJECT_MAX  (8 * 1024 * 1024)

struct api {
	const struct ctl *ctl; /* not NULL: kubectl asks for us */
	struct loop *loop;
	struct kube *kube;
	struct loop_timer *deadline;
	char *server, *namespace;
	struct api_ask *asks;
	size_t n;
};

/* ---- where it is ---- */

/* What kubectl would read; NULL: nothing. Malloc'd. */
static char *default_paths(void)
{
	const char *given = getenv("KUBECONFIG"), *home = getenv("HOME");
	char *path;

	if (given && *given)
		return mem_strdup(given);
	path = mem_printf("%s/.kube/config", home ?: "");
	if (home && access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

char *api_kubeconfigs(const struct ctl *ctl)
{
	return ctl->kubeconfig ? mem_strdup(ctl->kubeconfig) : default_paths();
}

static int conf_load(const struct ctl *ctl, struct kube_conf *ret, struct err *e)
{
	__cleanup_free char *paths = api_kubeconfigs(ctl);

	if (paths)
		return kube_conf_load_context(paths, ctl->context, ret, e);
	if (!ctl->context && getenv("KUBERNETES_SERVICE_HOST"))
		return kube_conf_load(NULL, ret, e);
	return err_set(e, -ENOENT,
		       "no kubeconfig: neither --kubeconfig nor KUBECONFIG says where the cluster "
		       "is, and there is no ~/.kube/config");
}

static void on_deadline(void *data)
{
	struct api *a = data;

	for (size_t i = 0; i < a->n; i++)
		if (!a->asks[i].done && !a->asks[i].code)
			a->asks[i].code = err_set(&a->asks[i].e, -ETIMEDOUT,
						  "%s: %s: no answer for %d s", a->server,
						  a->asks[i].path, PATIENCE_MS / 1000);
	loop_quit(a->loop);
}

/* Whose credentials and ways only kubectl knows. */
static void open_by_kubectl(const struct ctl *ctl, struct api *a)
{
	__cleanup_free char *server = kubectl_config(ctl, "-ojsonpath={..server}");

	a->ctl = ctl;
	a->server = mem_printf("%s, by kubectl", server ?: "?");
	a->namespace = ctl->namespace ? mem_strdup(ctl->namespace)
				      : kubectl_config(ctl, "-ojsonpath={..namespace}");
	if (!a->namespace)
		a->namespace = mem_strdup("default");
}

int api_open(const struct ctl *ctl, struct api **ret, struct err *e)
{
	__cleanup_api struct api *a = mem_alloc0(sizeof(*a));
	__cleanup_kube_conf struct kube_conf conf = {0};
	int r = conf_load(ctl, &conf, e);

	if (r == -EOPNOTSUPP && !kubectl_is_there())
		ctl_warn("with kubectl in PATH it would be asked instead");
	if (r == -EOPNOTSUPP && kubectl_is_there()) {
		open_by_kubectl(ctl, a);
		*ret = TAKE(a);
		return 0;
	}
	if (r == 0)
		r = loop_new(&a->loop, e);
	if (r == 0)
		r = loop_timer_new(a->loop, on_deadline, a, &a->deadline, e);
	if (r == 0)
		r = kube_new(a->loop, &conf, &a->kube, e);
	if (r < 0)
		return r;
	a->server = mem_strdup(conf.server);
	a->namespace = mem_strdup(ctl->namespace ?: conf.namespace);
	*ret = TAKE(a);
	return 0;
}

void api_close(struct api *a)
{
	if (!a)
		return;
	kube_free(a->kube);
	if (a->deadline)
		loop_timer_free(a->deadline);
	if (a->loop)
		loop_free(a->loop);
	free(a->server);
	free(a->namespace);
	free(a);
}

const char *api_namespace(const struct api *a)
{
	return a->namespace;
}

const char *api_server(const struct api *a)
{
	return a->server;
}

/* ---- answers ---- */

static void done(struct api_ask *k)
{
	struct api *a = k->api;

	k->done = true;
	for (size_t i = 0; i < a->n; i++)
		if (!a->asks[i].done)
			return;
	loop_quit(a->loop);
}

static void over(struct api_ask *k, const struct err *e)
{
	k->code = e ? e->code : 0;
	k->e = e ? *e : (struct err){0};
	if (e && !k->code)
		k->code = -EIO;
	kube_watch_free(TAKE(k->watch));
	done(k);
}

static void on_begin(void *data)
{
	struct api_ask *k = data;

	if (k->begin)
		k->begin(k->data);
}

static void on_object(void *data, const struct json *o)
{
	struct api_ask *k = data;

	k->object(k->data, o);
}

static void on_unreadable(void *data, const char *namespace, const char *name, const struct err *e)
{
	ctl_warn("left out, as it cannot be read: %s", e->msg);
}

static void on_synced(void *data)
{
	over(data, NULL);
}

/* A server that is busy is asked again by the list itself, until the deadline. */
static void on_trouble(void *data, const struct err *e)
{
	struct api_ask *k = data;

	if (!e)
		return;
	k->e = *e;
	k->code = e->code;
	if (e->code != -EAGAIN && e->code != -ESTALE)
		over(k, e);
}

static const struct kube_watch_ops list_ops = {
	.begin = on_begin,
	.object = on_object,
	.unreadable = on_unreadable,
	.synced = on_synced,
	.trouble = on_trouble,
};

static void on_answer(void *data, int status, const struct json *body, const struct err *e)
{
	struct api_ask *k = data;

	k->call = NULL;
	if (status == 200 && body) {
		k->object(k->data, body);
		k->code = 0;
	} else {
		k->e = *e;
		k->code = e->code ?: -EIO;
	}
	done(k);
}

/* ---- questions ---- */

static void begin(struct api *a, struct api_ask *k)
{
	__cleanup_free char *path = mem_printf("%s%s%s", k->path, k->query ? "?" : "",
					       k->query ?: "");

	k->api = a;
	k->done = false;
	k->code = 0;
	if (k->one)
		k->call = kube_call(a->kube, &(struct kube_request){.path = path,
								    .max = OBJECT_MAX,
								    .done = on_answer,
								    .data = k});
	else
		k->watch = kube_list_new(a->kube, k->path, k->query, &list_ops, k);
}

/* Which of two failures is the one to be told: what all suffer from before what one does. */
static int weight(int code)
{
	return code == 0 ? 0 : code == -EACCES ? 1 : code == -ENOENT ? 2 : 3;
}

int api_worst(const struct api_ask *asks, size_t n, struct err *e)
{
	const struct api_ask *worst = NULL;

	for (size_t i = 0; i < n; i++)
		if (weight(asks[i].code) > (worst ? weight(worst->code) : 0))
			worst = &asks[i];
	if (!worst)
		return 0;
	*e = worst->e;
	return worst->code;
}

int api_ask(struct api *a, struct api_ask *asks, size_t n, struct err *e)
{
	int r;

	for (size_t i = 0; a->ctl && i < n; i++)
		by_kubectl(a->ctl, &asks[i]);
	if (a->ctl)
		return api_worst(asks, n, e);
	a->asks = asks;
	a->n = n;
	for (size_t i = 0; i < n; i++)
		begin(a, &asks[i]);
	loop_timer_arm(a->deadline, PATIENCE_MS);
	r = n ? loop_run(a->loop, e) : 0;
	loop_timer_arm(a->deadline, -1);
	for (size_t i = 0; i < n; i++) {
		kube_watch_free(TAKE(asks[i].watch));
		if (asks[i].call)
			kube_cancel(TAKE(asks[i].call));
	}
	a->n = 0;
	return r < 0 ? r : api_worst(asks, n, e);
}

static void keep(void *data, const struct json *o)
{
	*(struct json **)data = json_dup(o);
}

int api_get(struct api *a, const char *path, struct json **ret, struct err *e)
{
	struct json *found = NULL;
	struct api_ask k = {.path = path, .one = true, .object = keep, .data = &found};
	int r = api_ask(a, &k, 1, e);

	if (r == 0)
		*ret = found;
	return r;
}

/* ---- what went wrong ---- */

static bool is_ours(const struct api_ask *k)
{
	return strncmp(k->path, API_OURS, strlen(API_OURS)) == 0;
}

/* "list pods in namespace shop": of "/api/v1/namespaces/shop/pods" */
static void right_print(const struct api_ask *k)
{
	__cleanup_free char *path = mem_strdup(k->path);
	char *name = k->one ? strrchr(path, '/') : NULL, *resource, *in;

	if (name)
		*name++ = '\0';
	resource = strrchr(path, '/');
	*resource++ = '\0';
	in = strstr(path, "/namespaces/");
	fprintf(stderr, "  %s %s%s%s%s\n", k->one ? "get" : "list", resource,
		is_ours(k) ? ".sluice.dev" : "", in ? " in namespace " : "",
		in ? in + strlen("/namespaces/") : "");
}

int api_fail(const struct api_ask *asks, size_t n, const struct err *e)
{
	const char *words = strstr(e->msg, "403 Forbidden: ");
	size_t forbidden = 0;
	bool absent = false;

	for (size_t i = 0; i < n; i++) {
		forbidden += asks[i].code == -EACCES;
		absent = absent || (asks[i].code == -ENOENT && is_ours(&asks[i]) && !asks[i].one);
	}
	ctl_warn("%s", words ? words + strlen("403 Forbidden: ") : e->msg);
	if (absent)
		fputs("The cluster does not know Sluice's objects: its CRDs are not installed "
		      "(kubectl apply -k conf/crds).\n",
		      stderr);
	if (!forbidden || !words)
		return CTL_FAILED;
	fputs("This needs rights that you do not have:\n", stderr);
	for (size_t i = 0; i < n; i++)
		if (asks[i].code == -EACCES)
			right_print(&asks[i]);
	fputs("A ClusterRoleBinding to the ClusterRole " API_ROLE " gives all that "
	      "'kubectl sluice' reads.\n",
	      stderr);
	return CTL_FAILED;
}
