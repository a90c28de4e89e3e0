/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/plugin_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "bpf/loader.h"
#include "policy/compile.h"
#include "policy/image.h"
#include "reconcile/pod_subject.h"
#include "state/fingerprint.h"
#include "state/journal.h"
#include "testkit/netns_fixture.h"

static char binary[4096];
static pid_t daemon_pid;
static char *output, *message;

static void bytes_write(const char *path, const void *data, size_t len)
{
	__cleanup_file FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fchmod(fileno(f), 0755), 0);
}

static void file_write(const char *path, const char *text)
{
	bytes_write(path, text, strlen(text));
}

static char *file_read(const char *path)
{
	char *text = NULL;
	size_t len;

	return atomic_file_load(AT_FDCWD, path, 64u << 20, &text, &len, NULL) < 0 ? mem_strdup("")
										  : text;
}

/* Of build/VARIANT/plugins/sluice/x_test: build/VARIANT/bin/sluice, or build/bin/sluice. */
static void binary_find(void)
{
	char dir[2048];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	assert_true(n > 0);
	dir[n] = 0;
	for (int i = 0; i < 3; i++)
		*strrchr(dir, '/') = 0;
	snprintf(binary, sizeof(binary), "%s/bin/sluice", dir);
	if (access(binary, X_OK) < 0)
		snprintf(binary, sizeof(binary), "%s/../bin/sluice", dir);
	if (access(binary, X_OK) < 0)
		fail_msg("%s is not built", binary);
}

int node_setup(void **state)
{
	netns_fresh();
	if (!*binary) {
		binary_find();
		mounts_fresh();
		assert_int_equal(mount("none", "/run", "tmpfs", 0, NULL), 0);
	}
	assert_int_equal(mount("none", NODE, "tmpfs", 0, NULL), 0);
	sh("mkdir -p /run/netns " NODE "/policies.d " NODE "/run && cp %s " NODE "/sluice", binary);
	return 0;
}

int node_teardown(void **state)
{
	daemon_set(NULL);
	free(output);
	free(message);
	output = message = NULL;
	if (geteuid() == 0) {
		sh("ip -all netns del");
		umount2(NODE "/bpf", MNT_DETACH);
		umount2(NODE, MNT_DETACH);
	}
	return 0;
}

void pod_make(const char *name)
{
	sh("ip netns add %s", name);
	sh("ip link add veth-%s type veth peer name eth0 netns %s", name, name);
	sh("ip link set veth-%s up && ip -n %s link set eth0 up", name, name);
}

/* ---- calls ---- */

#define PREV                                                                                 \
	"{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"eth0\",\"sandbox\":\"/x\"}]," \
	"\"ips\":[{\"address\":\"10.0.0.2/24\",\"interface\":0}]}"

static const char *or_default(const char *s, const char *fallback)
{
	return s ? s : fallback;
}

static char *conf_make(const struct call *c)
{
	const char *prev = or_default(c->prev, PREV);

	return mem_printf("{\"cniVersion\":\"%s\",\"name\":\"lab\",\"type\":\"sluice\",%s"
			  "%s%s%s\"stateDir\":\"" NODE "/state\",\"runDir\":\"" NODE "/run\","
			  "\"bpffs\":\"" NODE "/bpf\",\"policyDir\":\"" NODE "/policies.d\"}",
			  or_default(c->version, "1.0.0"), or_default(c->conf, ""),
			  *prev ? "\"prevResult\":" : "", prev, *prev ? "," : "");
}

static int result_judge(int status)
{
	__cleanup_json struct json *error = NULL;
	const char *msg;
	int64_t code = -1;

	free(message);
	message = NULL;
	if (status == 0)
		return 0;
	if (status != 1 || json_parse(output, strlen(output), &error, NULL) < 0 ||
	    json_int(json_get(error, "code"), 1, 999, &code, NULL) < 0)
		return -1;
	if (json_string(json_get(error, "msg"), &msg, NULL) == 0)
		message = mem_strdup(msg);
	return (int)code;
}

int plugin_call(const struct call *c)
{
	const char *pod = or_default(c->pod, "p1");
	__cleanup_free char *netns = c->netns ? mem_strdup(c->netns)
					      : mem_printf("/run/netns/%s", pod);
	__cleanup_free char *args =
		c->args ? mem_strdup(c->args)
			: mem_printf("K8S_POD_NAMESPACE=default;K8S_POD_NAME=%s", pod);
	__cleanup_free char *conf = conf_make(c);
	int status;

	file_write(NODE "/in", conf);
	status = sh_status("(env -i CNI_COMMAND=%s CNI_CONTAINERID=%s CNI_IFNAME=%s CNI_PATH=/x "
			   "CNI_NETNS='%s' CNI_ARGS='%s' " NODE "/sluice <" NODE "/in >" NODE
			   "/out 2>" NODE "/log)",
			   or_default(c->verb, "ADD"), pod, or_default(c->ifname, "eth0"), netns,
			   args);
	free(output);
	output = file_read(NODE "/out");
	return result_judge(status);
}

const char *node_output(void)
{
	return output ? output : "";
}

const char *node_message(void)
{
	return message ? message : "";
}

/* ---- who answers ---- */

static void daemon_serve(int listener, const char *answer)
{
	char buf[65536];

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

		if (n > 0) {
			buf[n] = 0;
			file_write(NODE "/question", buf);
			n = send(fd, answer, strlen(answer), MSG_NOSIGNAL);
		}
		close(fd);
	}
}

void daemon_set(const char *answer)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = NODE "/run/sluiced.sock"};
	int fd;

	if (daemon_pid) {
		kill(daemon_pid, SIGKILL);
		waitpid(daemon_pid, NULL, 0);
		unlink(sa.sun_path);
		daemon_pid = 0;
	}
	if (!answer)
		return;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	daemon_pid = fork();
	if (daemon_pid == 0)
		daemon_serve(fd, answer);
	close(fd);
}

struct json *daemon_question(void)
{
	__cleanup_free char *text = file_read(NODE "/question");
	struct json *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	return j;
}

void policies_write(const char *yaml)
{
	file_write(NODE "/policies.d/a.yaml", yaml);
}

static struct doc_set *policies_read(void)
{
	__cleanup_free char *text = file_read(NODE "/policies.d/a.yaml");
	struct doc_set *set = doc_set_new();
	struct err e = {0};

	expect_ok(doc_set_add_text(set, "a.yaml", text, strlen(text), &e), &e);
	expect_ok(doc_set_finish(set, &e), &e);
	return set;
}

/* The key of a pod's program: that of an image without programs. */
static uint64_t key_of(const struct compiled *c, const struct image_info *info, const char *pod,
		       const char *labels)
{
	struct record rec = {.kind = ATTACH_NONE};
	__cleanup_free uint8_t *data = NULL;
	struct image_answer answer;
	struct pod_info subject;
	struct image img;
	size_t len;

	rec.namespace = mem_strdup("default");
	rec.pod = mem_strdup(pod);
	rec.network = mem_strdup("lab");
	rec.ifname = mem_strdup("eth0");
	rec.labels = mem_strdup(labels);
	assert_int_equal(image_build(c, info, NULL, 0, &data, &len), 0);
	assert_int_equal(image_open(&img, data, len, NULL), 0);
	pod_subject(&img, &rec, &subject);
	assert_int_equal(image_resolve(&img, &subject, &answer), 0);
	pod_subject_done(&subject);
	free(rec.namespace);
	free(rec.pod);
	free(rec.network);
	free(rec.ifname);
	free(rec.labels);
	return answer.key;
}

void snapshot_write(const char *path, const char *pod, const char *pod_labels, uint32_t policy)
{
	struct cidr inside = {0};
	const struct node_view node = {
		.name = "n1", .cluster_cidrs = &inside, .n_cluster_cidrs = 1};
	struct image_info info = {.generation = 1, .mark_mask = SLU_MARK_MASK_DEFAULT};
	struct doc_set *set = policies_read();
	struct image_program program = {.policy = policy};
	__cleanup_free uint8_t *data = NULL;
	struct compiled *c = NULL;
	struct err e = {0};
	size_t len;

	assert_int_equal(cidr_parse("10.0.0.0/8", &inside), 0);
	expect_ok(policy_fingerprint(NODE "/policies.d", &info.fingerprint, &e), &e);
	expect_ok(policy_compile(set, &node, &c, &e), &e);
	if (pod)
		program.key = key_of(c, &info, pod, pod_labels);
	assert_int_equal(image_build(c, &info, &program, pod ? 1 : 0, &data, &len), 0);
	sh("mkdir -p " NODE "/state");
	bytes_write(path, data, len);
	compiled_free(c);
	doc_set_free(set);
}

void once_write(const char *script)
{
	__cleanup_free char *text = NULL;

	unlink(NODE "/sluiced");
	if (!script)
		return;
	text = mem_printf("#!/bin/sh\necho \"$@\" >>" NODE "/once\n%s\n", script);
	file_write(NODE "/sluiced", text);
}

/* ---- what is there ---- */

void dataplane_load(void)
{
	struct err e = {0};

	expect_ok(bpf_load(NODE "/bpf", &e), &e);
}

bool pod_entry(const char *host_ifname, struct slu_pod *ret)
{
	uint32_t ifindex = ifindex_of(host_ifname);
	struct bpf_pins *pins = NULL;
	struct err e = {0};
	int r;

	expect_ok(bpf_pins_open(NODE "/bpf", &pins, &e), &e);
	r = bpf_map_lookup(pins, BPF_MAP_PODS, &ifindex, ret, &e);
	bpf_pins_close(pins);
	return r == 0;
}

struct record *node_record(const char *pod, const char *ifname)
{
	struct record *rec = NULL;
	struct journal *j = NULL;
	struct err e = {0};

	expect_ok(journal_open(NODE "/state", NODE "/run", &j, &e), &e);
	journal_load(j, pod, ifname, &rec, &e);
	journal_close(j);
	return rec;
}

void expect_nothing_left(void)
{
	void *keys = NULL, *values = NULL;
	struct bpf_pins *pins = NULL;
	size_t n = 0;

	sh("! ls " NODE "/state/attachments " NODE "/run/locks | grep :eth0 ");
	if (bpf_pins_open(NODE "/bpf", &pins, NULL) < 0)
		return;
	assert_int_equal(bpf_map_dump(pins, BPF_MAP_PODS, &keys, &values, &n, NULL), 0);
	assert_int_equal(n, 0);
	free(keys);
	free(values);
	assert_int_equal(bpf_map_dump(pins, BPF_MAP_MACVLANS, &keys, &values, &n, NULL), 0);
	assert_int_equal(n, 0);
	free(keys);
	free(values);
	bpf_pins_close(pins);
}
