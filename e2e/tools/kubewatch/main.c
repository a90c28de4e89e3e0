/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API client on a command line, for e2e/kube_client.bats and for measuring. A line for each
 * thing that happens, with the collection it happens in:
 *
 *	slkube KUBECONFIG watch PATH[?QUERY]…        begin, object, gone, unreadable, synced,
 *	                                             trouble, over; "-" is the pod's own account
 *	slkube KUBECONFIG call METHOD PATH [BODY [TYPE]]   status, error, body
 *
 * SIGTERM ends a watch, SIGUSR1 prints how much memory and time the process has had, SIGUSR2
 * stops and starts the printing of objects and counts them instead.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "json/json.h"
#include "source/kube.h"
#include "source/kube_conf.h"
#include "source/kube_watch.h"

struct one {
	char *path, *query;
	struct kube_watch *watch;
};

static struct loop *loop;
static struct kube *kube;
static bool quiet;
static unsigned long objects;

static const char *meta(const struct json *object, const char *key)
{
	const char *s;

	return json_string(json_get(json_get(object, "metadata"), key), &s, NULL) < 0 ? "" : s;
}

static void on_begin(void *data)
{
	printf("%s begin\n", ((struct one *)data)->path);
}

static void on_object(void *data, const struct json *object)
{
	const char *namespace = meta(object, "namespace");

	objects++;
	if (!quiet)
		printf("%s object %s%s%s %s\n", ((struct one *)data)->path, namespace,
		       *namespace ? "/" : "", meta(object, "name"),
		       meta(object, "resourceVersion"));
}

static void on_gone(void *data, const char *namespace, const char *name, const char *version)
{
	objects++;
	if (!quiet)
		printf("%s gone %s%s%s\n", ((struct one *)data)->path, namespace ? namespace : "",
		       namespace ? "/" : "", name);
}

static void on_unreadable(void *data, const char *namespace, const char *name, const struct err *e)
{
	printf("%s unreadable %s%s%s: %s\n", ((struct one *)data)->path, namespace ? namespace : "",
	       namespace ? "/" : "", name, e->msg);
}

static void on_synced(void *data)
{
	printf("%s synced %lu\n", ((struct one *)data)->path, objects);
}

static void on_trouble(void *data, const struct err *e)
{
	printf("%s %s%s\n", ((struct one *)data)->path, e ? "trouble " : "over", e ? e->msg : "");
}

static const struct kube_watch_ops ops = {
	on_begin, on_object, on_gone, on_unreadable, on_synced, on_trouble,
};

static void on_signal(int signo, void *data)
{
	struct rusage u;

	if (signo == SIGTERM) {
		loop_quit(loop);
	} else if (signo == SIGUSR2) {
		quiet = !quiet;
	} else {
		getrusage(RUSAGE_SELF, &u);
		printf("used %ld KiB %ld ms %ld switches %lu objects\n", u.ru_maxrss,
		       u.ru_utime.tv_sec * 1000 + u.ru_utime.tv_usec / 1000 +
			       u.ru_stime.tv_sec * 1000 + u.ru_stime.tv_usec / 1000,
		       u.ru_nvcsw, objects);
	}
}

static int watch(int n, char **paths, struct err *e)
{
	static const int signals[] = {SIGTERM, SIGUSR1, SIGUSR2};
	struct one *all = mem_alloc0((size_t)n * sizeof(*all));
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
		r = loop_add_signal(loop, signals[i], on_signal, NULL, e);
	for (int i = 0; i < n && r == 0; i++) {
		char *question = strchr(paths[i], '?');

		if (question)
			*question++ = '\0';
		all[i] = (struct one){.path = paths[i], .query = question};
		all[i].watch = kube_watch_new(kube, paths[i], question, &ops, &all[i]);
	}
	if (r == 0)
		r = loop_run(loop, e);
	for (int i = 0; i < n; i++)
		kube_watch_free(all[i].watch);
	free(all);
	return r;
}

static void on_done(void *data, int status, const struct json *body, const struct err *e)
{
	__cleanup_free char *text = body ? json_emit(body, 0) : NULL;

	printf("%d %s\n%s\n", status, e ? e->msg : "", text ? text : "");
	*(int *)data = status >= 200 && status < 300 ? 0 : 1;
	loop_quit(loop);
}

static int call(int n, char **args, struct err *e, int *exit_status)
{
	struct kube_request r = {
		.method = args[0],
		.path = args[1],
		.body = n > 2 ? args[2] : NULL,
		.content_type = n > 3 ? args[3] : NULL,
		.done = on_done,
		.data = exit_status,
	};

	kube_call(kube, &r);
	return loop_run(loop, e);
}

int main(int argc, char **argv)
{
	__cleanup_kube_conf struct kube_conf conf = {0};
	struct err e = {0};
	int r, status = 0;

	if (argc < 4 || (strcmp(argv[2], "watch") != 0 && argc < 5)) {
		fprintf(stderr, "usage: slkube KUBECONFIG|- watch PATH… | call METHOD PATH …\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = kube_conf_load(strcmp(argv[1], "-") == 0 ? NULL : argv[1], &conf, &e);
	if (r == 0)
		r = loop_new(&loop, &e);
	if (r == 0)
		r = kube_new(loop, &conf, &kube, &e);
	if (r == 0 && strcmp(argv[2], "watch") == 0)
		r = watch(argc - 3, argv + 3, &e);
	else if (r == 0)
		r = call(argc - 3, argv + 3, &e, &status);
	kube_free(kube);
	loop_free(loop);
	if (r < 0)
		fprintf(stderr, "%s\n", e.msg);
	return r < 0 ? 1 : status;
}
