/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a large list costs the client: kube_list OBJECTS. A fake API server in a process of its own
 * sends a list of so many pods of about 2 KB, then half as many events; here each is parsed and let
 * go. Prints megabytes, seconds of the list, processor time, and peak memory beyond that before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "json/json.h"
#include "source/kube_watch.h"
#include "testkit/fake_api.h"

#define META                                                                                       \
	"{\"metadata\":{\"name\":\"shop-7d4b9c6f5-%05d\",\"generateName\":\"shop-7d4b9c6f5-\","    \
	"\"namespace\":\"team-%d\",\"uid\":\"c0ffee00-0000-4000-8000-%012d\",\"resourceVersion\":" \
	"\"%d\",\"creationTimestamp\":\"2026-11-21T06:00:00Z\",\"annotations\":{\"note\":\"%"      \
	"0600d\"},\"labels\":{\"app\":\"shop\","                                                   \
	"\"pod-template-hash\":\"7d4b9c6f5\",\"tier\":\"backend\"},\"ownerReferences\":[{"         \
	"\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"shop-7d4b9c6f5\",\"uid\":"  \
	"\"0000\",\"controller\":true,\"blockOwnerDeletion\":true}],\"managedFields\":[{"          \
	"\"manager\":\"kube-controller-manager\",\"operation\":\"Update\",\"apiVersion\":\"v1\","  \
	"\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\".\":{},"        \
	"\"f:app\":{},\"f:pod-template-hash\":{}}},\"f:spec\":{\"f:containers\":{\"k:{"            \
	"\\\"name\\\""                                                                             \
	":\\\"app\\\"}\":{\".\":{},\"f:image\":{},\"f:name\":{}}}}}}]},"
#define SPEC                                                                                       \
	"\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"registry.example.com/shop/app:"   \
	"1.2.3\",\"ports\":[{\"containerPort\":8080,\"protocol\":\"TCP\"}],\"env\":[{\"name\":"    \
	"\"A\",\"value\":\"b\"}],\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":\"256Mi\"" \
	"}},\"volumeMounts\":[{\"name\":\"token\",\"readOnly\":true,\"mountPath\":\"/var/run/"     \
	"secrets/kubernetes.io/serviceaccount\"}]}],\"nodeName\":\"n1\",\"tolerations\":[{"        \
	"\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":"             \
	"\"NoExecute\",\"tolerationSeconds\":300}]},\"status\":{\"phase\":\"Running\","            \
	"\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],\"podIP\":\"10.0.0.1\","        \
	"\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::1\"}],\"containerStatuses\":[{"         \
	"\"name\":\"app\",\"ready\":true,\"restartCount\":0,\"image\":\"registry.example.com/"     \
	"shop/app:1.2.3\"}]}}"

static int objects;
static unsigned long seen;
static struct loop *loop;

static void send_pods(struct fake_conn *c, const struct fake_request *r, void *data)
{
	bool watch = strstr(r->path, "watch=true");
	int n = watch ? objects / 2 : objects;

	fake_head(c, 200, NULL);
	if (!watch)
		fake_printf(c,
			    "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"%d\"},"
			    "\"items\":[",
			    objects);
	for (int i = 0; i < n && !fake_over(c); i++)
		fake_printf(c,
			    watch ? "{\"type\":\"MODIFIED\",\"object\":" META SPEC "}\n"
				  : META SPEC "%s",
			    i, i % 100, i, watch ? objects + i : i, i, i == n - 1 ? "" : ",");
	if (watch)
		fake_hold(c);
	fake_printf(c, "]}");
	fake_end(c);
}

static void on_object(void *data, const struct json *object)
{
	if (++seen == (unsigned long)objects + (unsigned long)objects / 2)
		loop_quit(loop);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double synced_at;

static void on_synced(void *data)
{
	synced_at = now();
}

static long peak_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* In the child: says where it is, and serves until the pipe is closed. */
static void serve(int to, int end)
{
	struct fake_api *a = fake_api_start(NULL, send_pods, NULL);
	int port = fake_api_port(a);
	char byte;

	if (write(to, &port, sizeof(port)) != sizeof(port) ||
	    write(to, fake_api_ca(a), strlen(fake_api_ca(a)) + 1) < 0)
		exit(1);
	while (read(end, &byte, 1) > 0)
		;
	_exit(0);
}

static int measure(int port, const char *ca)
{
	static const struct kube_watch_ops ops = {.object = on_object, .synced = on_synced};
	struct kube_conf conf = {
		.server = mem_printf("https://127.0.0.1:%d", port),
		.ca = {.data = mem_strdup(ca), .len = strlen(ca)},
		.namespace = mem_strdup("default"),
	};
	struct kube_watch *watch;
	struct kube *kube;
	struct rusage u;
	struct err e;
	double start = now();
	long before;

	if (loop_new(&loop, &e) < 0 || kube_new(loop, &conf, &kube, &e) < 0)
		return 1;
	before = peak_kib();
	watch = kube_watch_new(kube, "/api/v1/pods", NULL, &ops, NULL);
	if (loop_run(loop, &e) < 0)
		return 1;
	getrusage(RUSAGE_SELF, &u);
	printf("%lu objects of %zu bytes: list %.2f s, all %.2f s, processor %.2f s; "
	       "peak %ld KiB, %ld more than before\n",
	       seen, strlen(META SPEC) + 600, synced_at - start, now() - start,
	       (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
	       peak_kib(), peak_kib() - before);
	kube_watch_free(watch);
	kube_free(kube);
	loop_free(loop);
	kube_conf_done(&conf);
	return 0;
}

int main(int argc, char **argv)
{
	int to[2], end[2], port, r;
	char ca[4096] = "";
	pid_t pid;

	objects = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 100000;
	if (objects < 2 || pipe(to) < 0 || pipe(end) < 0)
		return 2;
	pid = fork();
	if (pid == 0) {
		close(end[1]);
		serve(to[1], end[0]);
	}
	close(end[0]);
	if (pid < 0 || read(to[0], &port, sizeof(port)) != sizeof(port) ||
	    read(to[0], ca, sizeof(ca) - 1) <= 0)
		return 2;
	r = measure(port, ca);
	close(end[1]);
	waitpid(pid, NULL, 0);
	return r;
}
