/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/events.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "bpf/events.h"
#include "json/json.h"
#include "reconcile/priv.h"

#define LINE_MAX_BYTES 4096 /* PIPE_BUF: a pipe that is ready takes that much at once */
#define EARLY_MAX      64
#define NS_PER_S       1000000000ll

struct event_log {
	struct loop *loop;
	struct reconcile *r;
	struct bpf_events *events; /* NULL: could not be opened */
	unsigned int pins;
	uint64_t asked_at; /* compiled_serial when it was asked whether there may be some */
	bool wanted;	   /* then there were, and may still be */
	char *path;
	int fd;
	bool torn; /* what was written last ends in the middle of a line: the disk is full */
	/* from pods whose records have not been read yet; told after the next pass */
	struct slu_event early[EARLY_MAX];
	size_t n_early;
	uint64_t lost, lost_said; /* the reader did not keep up */
};

/* ---- a line ---- */

static const char *verdict_name(uint8_t action)
{
	switch (action) {
	case SLU_DENY:
		return "Deny";
	case SLU_REJECT:
		return "Reject";
	}
	return "Allow";
}

static const char *protocol_name(uint8_t proto, char buf[8])
{
	switch (proto) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_SCTP:
		return "SCTP";
	case IPPROTO_ICMP:
		return "ICMP";
	case IPPROTO_ICMPV6:
		return "ICMPv6";
	}
	snprintf(buf, 8, "%u", proto);
	return buf;
}

/* When it happened, by the clock on the wall: the kernel's clock counts from the boot. */
static struct json *time_emit(uint64_t boot_ns)
{
	struct timespec wall, boot;
	int64_t ns;
	struct tm tm;
	time_t s;
	char buf[48];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	ns = (int64_t)boot_ns + (wall.tv_sec - boot.tv_sec) * NS_PER_S + wall.tv_nsec -
	     boot.tv_nsec;
	s = ns / NS_PER_S;
	gmtime_r(&s, &tm);
	n = strftime(buf, sizeof(buf), "%FT%T", &tm);
	snprintf(buf + n, sizeof(buf) - n, ".%06dZ", (int)(ns % NS_PER_S / 1000));
	return json_new_string(buf);
}

static const struct record *pod_of(const struct reconcile *r, const struct slu_event *event)
{
	const struct addr src = slu_addr_get(event->src);

	for (size_t i = 0; i < r->n_pods; i++) {
		const struct record *rec = r->pods[i].rec;

		if (r->pods[i].dead || rec->ifindex != event->ifindex)
			continue;
		for (size_t k = 0; k < rec->n_addrs; k++)
			if (addr_cmp(rec->addrs[k], src) == 0)
				return rec;
	}
	return NULL;
}

/* "EgressPolicy shop/payments bank": the rule is what stands behind the last space. */
static void rule_emit(struct json *o, const struct reconcile *r, uint32_t counter)
{
	const char *name = counter ? numbers_name(r->counters, counter) : NULL;
	__cleanup_free char *policy = name ? mem_strdup(name) : NULL;
	char *space = policy ? strrchr(policy, ' ') : NULL;

	if (!space)
		return;
	*space = '\0';
	json_set(o, "policy", json_new_string(policy));
	json_set(o, "rule", json_new_string(space + 1));
}

static const char *pattern_of(const struct reconcile *r, uint32_t id)
{
	size_t n = 0;
	const char *const *names = r->compiled ? compiled_names(r->compiled, &n) : NULL;

	for (size_t i = 0; r->name_ids && i < n; i++)
		if (r->name_ids[i] == id)
			return names[i];
	return NULL;
}

static void names_emit(struct json *o, const struct reconcile *r, const struct record *rec,
		       const struct slu_addr *dst)
{
	const struct slu_named_key key = {*dst, pod_tenant(rec->namespace)};
	struct slu_named named;
	struct json *list = NULL;

	if (bpf_map_lookup(r->k.pins, BPF_MAP_NAMED, &key, &named, NULL) < 0)
		return;
	for (size_t i = 0; i < SLU_MAX_NAMES_AT; i++) {
		const char *pattern = named.at[i].name ? pattern_of(r, named.at[i].name) : NULL;

		if (!pattern)
			continue;
		if (!list)
			list = json_new_array();
		json_append(list, json_new_string(pattern));
	}
	if (list)
		json_set(o, "destinationNames", list);
}

static void flow_emit(struct json *o, const struct slu_event *event)
{
	bool icmp = event->proto == IPPROTO_ICMP || event->proto == IPPROTO_ICMPV6;
	char buf[8];

	json_set(o, "protocol", json_new_string(protocol_name(event->proto, buf)));
	json_set(o, "source", json_new_string(addr_str(slu_addr_get(event->src))));
	if (event->sport)
		json_set(o, "sourcePort", json_new_int(ntohs(event->sport)));
	json_set(o, "destination", json_new_string(addr_str(slu_addr_get(event->dst))));
	if (icmp) {
		json_set(o, "icmpType", json_new_int(event->dport >> 8));
		json_set(o, "icmpCode", json_new_int(event->dport & 0xff));
	} else if (event->dport) {
		json_set(o, "destinationPort", json_new_int(ntohs(event->dport)));
	}
}

static struct json *audit_emit(const struct reconcile *r, const struct slu_event *event)
{
	struct json *o = json_new_object();

	json_set(o, "verdict", json_new_string(verdict_name(event->would)));
	rule_emit(o, r, event->audit_counter);
	return o;
}

static struct json *event_emit(const struct reconcile *r, const struct slu_event *event)
{
	const struct record *rec = pod_of(r, event);
	struct json *o = json_new_object();

	json_set(o, "time", time_emit(event->at));
	json_set(o, "node", json_new_string(r->node_name ? r->node_name : r->conf->node_name));
	if (rec) {
		json_set(o, "namespace", json_new_string(rec->namespace));
		json_set(o, "pod", json_new_string(rec->pod));
	}
	json_set(o, "verdict", json_new_string(verdict_name(event->verdict)));
	rule_emit(o, r, event->counter);
	flow_emit(o, event);
	if (rec)
		names_emit(o, r, rec, &event->dst);
	if (event->would != event->verdict)
		json_set(o, "audit", audit_emit(r, event));
	return o;
}

/* ---- into the file ---- */

static bool ready_for_more(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && p.revents & POLLOUT;
}

static void event_write(struct event_log *log, const struct slu_event *event)
{
	__cleanup_json struct json *o = event_emit(log->r, event);
	__cleanup_free char *text = json_emit(o, 0);
	__cleanup_free char *line = mem_printf("%s%s\n", log->torn ? "\n" : "", text);
	size_t len = strlen(line);
	ssize_t n = -1;

	if (len <= LINE_MAX_BYTES && ready_for_more(log->fd))
		n = write(log->fd, line, len);
	if (n > 0)
		log->torn = line[n - 1] != '\n';
	if (n != (ssize_t)len)
		log->lost++;
}

static void on_event(const struct slu_event *event, void *data)
{
	struct event_log *log = data;

	if (log->n_early < EARLY_MAX && !pod_of(log->r, event))
		log->early[log->n_early++] = *event;
	else
		event_write(log, event);
}

static void early_write(struct event_log *log)
{
	for (size_t i = 0; i < log->n_early; i++)
		event_write(log, &log->early[i]);
	log->n_early = 0;
}

static void on_ready(int fd, uint32_t events, void *data)
{
	struct event_log *log = data;
	struct err e = {0};

	if (bpf_events_read(log->events, &e) < 0)
		log_warn("events of rules not read", "error=%s", log_quote(e.msg));
	if (log->lost == log->lost_said)
		return;
	log_warn("lines of the event log lost: its reader does not keep up, or its disk is full",
		 "path=%s lost=%llu", log_quote(log->path), (unsigned long long)log->lost);
	log->lost_said = log->lost;
}

uint64_t event_log_lost(const struct event_log *log)
{
	return log->lost;
}

int event_log_reopen(struct event_log *log, struct err *e)
{
	bool out = strcmp(log->path, "-") == 0;
	__cleanup_close int fd = -1;

	if (out)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd < 0)
		return err_sys(e, -errno, "open the event log %s", log->path);
	cleanup_closep(&log->fd);
	log->fd = TAKE_FD(fd);
	log->torn = !out && log_torn(log->path);
	return 0;
}

static void ring_close(struct event_log *log)
{
	if (log->events)
		loop_del_fd(log->loop, bpf_events_fd(log->events));
	bpf_events_close(log->events);
	log->events = NULL;
}

/* The ring is two megabytes of memory once it is mapped: not before a rule may fill it. */
static bool is_wanted(struct event_log *log)
{
	const struct reconcile *r = log->r;

	if (!log->wanted && r->compiled && log->asked_at != r->compiled_serial) {
		log->wanted = compiled_tells(r->compiled);
		log->asked_at = r->compiled_serial;
	}
	return log->wanted;
}

int event_log_follow(struct event_log *log, struct err *e)
{
	int rc;

	early_write(log);
	if (!is_wanted(log) || (log->events && log->pins == log->r->pins_opened))
		return 0;
	ring_close(log);
	rc = bpf_events_open(log->r->k.pins, on_event, log, &log->events, e);
	if (rc < 0)
		return rc;
	log->pins = log->r->pins_opened;
	return loop_add_fd(log->loop, bpf_events_fd(log->events), EPOLLIN, on_ready, log, e);
}

int event_log_new(struct loop *loop, struct reconcile *r, const char *path, struct event_log **ret,
		  struct err *e)
{
	__cleanup(event_log_freep) struct event_log *log = mem_alloc0(sizeof(*log));
	int rc;

	*log = (struct event_log){.loop = loop, .r = r, .path = mem_strdup(path), .fd = -1};
	rc = event_log_reopen(log, e);
	if (rc == 0)
		rc = event_log_follow(log, e);
	if (rc < 0)
		return rc;
	*ret = TAKE(log);
	return 0;
}

void event_log_free(struct event_log *log)
{
	if (!log)
		return;
	early_write(log);
	ring_close(log);
	cleanup_closep(&log->fd);
	free(log->path);
	free(log);
}
