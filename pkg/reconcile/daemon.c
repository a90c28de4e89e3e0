/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever happens is only a reason to look: each source of events asks for a pass
 * soon, and several that come together get one. A second without events gets one, too,
 * so that nothing depends on an event having been heard.
 */
#include "reconcile/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/atomic_file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/settle.h"
#include "install/keeper.h"
#include "kernel/nft.h"
#include "kernel/rtnl.h"
#include "loop/loop.h"
#include "reconcile/api.h"
#include "reconcile/claims.h"
#include "reconcile/events.h"
#include "reconcile/handover.h"
#include "reconcile/membership.h"
#include "reconcile/objects.h"
#include "reconcile/reconcile.h"
#include "reconcile/scrape.h"
#include "reconcile/server.h"
#include "source/file_watch.h"
#include "state/retired.h"

#define SOON_MS 15 /* events of one change come in a burst */
#define SAFETY_MS \
	500 /* a pass at least this often: what no event tells is mended within a second */
/*
 * Events of an API have no end that one could wait for: a pass when none came for a moment, at
 * the latest after a while. In a flood one pass for many is worth more than a fast one.
 */
#define API_QUIET_MS 10
#define API_LATE_MS  40
#define API_FLOOD    64 /* events since the last pass */
#define API_FLOOD_MS 400
#define END_MS	     1000 /* for the last word to the API */
#define ONCE_PASSES  400
#define ONCE_AGAIN   2		 /* times that an address is asked for once more */
#define NEVER	     (1LL << 33) /* seconds: past every clock, within every timer */

#define LOCK_PAUSE_MS	50
#define LOCK_TRIES_RUN	600 /* half a minute */
#define LOCK_TRIES_ONCE 20
#define LOCK_TRIES_SAY	40 /* a run of --once has mostly ended by then */

struct daemon {
	const struct daemon_conf *conf;
	struct reconcile *r;
	struct loop *loop;
	struct server *server;
	struct api *api;   /* NULL: objects come from files */
	size_t api_events; /* since the last pass */
	int64_t api_first; /* when the first of them came (ms) */
	struct event_log *events;
	struct file_watch *policies;
	struct membership *membership; /* NULL: without heartbeats */
	struct handover *handover;     /* NULL: addresses move without their connections */
	struct scrape *scrape;	       /* NULL: nobody asks for numbers */
	struct keeper *keeper;	       /* of our list in cniConfDir; NULL: others keep it */
	struct loop_timer *soon, *safety, *timers, *end;
	int rtnl_fd, nft_fd, records_fd, lock_fd, clock_fd;
	bool due, ending;
};

static void on_timers(void *data)
{
	struct daemon *d = data;

	loop_timer_arm(d->timers, reconcile_timers(d->r));
}

/* By the clock on the wall: set, it fires at once. Without an edge ahead it waits for that alone.
 */
static void edge_arm(struct daemon *d)
{
	int64_t edge = reconcile_edge(d->r);
	struct itimerspec at = {.it_value = {.tv_sec = edge < NEVER ? edge : NEVER}};

	if (at.it_value.tv_sec <= 0)
		at.it_value.tv_sec = 1;
	timerfd_settime(d->clock_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
}

static void pass_now(struct daemon *d)
{
	struct err e = {0};
	int rc;

	d->due = false;
	d->api_events = 0;
	rc = reconcile_pass(d->r, NULL);
	reconcile_told(d->r);
	loop_timer_arm(d->safety, reconcile_retry(d->r, SAFETY_MS));
	if (rc > 0) {
		d->due = true;
		loop_timer_arm(d->soon, 0);
	}
	on_timers(d);
	edge_arm(d);
	if (d->api)
		api_passed(d->api);
	if (d->events && event_log_follow(d->events, &e) < 0)
		log_warn("events of rules not read", "error=%s", log_quote(e.msg));
}

static void on_soon(void *data)
{
	pass_now(data);
}

/* A gateway died or came: what is left of the time belongs to the probes. */
static void on_members(void *data)
{
	pass_now(data);
}

/* The first event of a burst sets the time; those that follow do not put it off. */
static void pass_soon(void *data)
{
	struct daemon *d = data;

	if (d->due)
		return;
	d->due = true;
	loop_timer_arm(d->soon, SOON_MS);
}

static void on_api(void *data)
{
	struct daemon *d = data;
	int64_t now = clock_ms(), left;

	if (!d->api_events++)
		d->api_first = now;
	left = d->api_first + (d->api_events > API_FLOOD ? API_FLOOD_MS : API_LATE_MS) - now;
	d->due = true;
	loop_timer_arm(d->soon, left < 0 ? 0 : left < API_QUIET_MS ? left : API_QUIET_MS);
}

static bool on_question(void *data, uint64_t question, const struct json *request)
{
	struct daemon *d = data;

	return d->api && reconcile_wants_pod(d->r, request) &&
	       api_fetch_pod(d->api, question, request);
}

static void on_fetched(void *data, uint64_t question)
{
	server_answer(((struct daemon *)data)->server, question);
}

static void on_asked(void *data)
{
	if (reconcile_unpublished(((struct daemon *)data)->r))
		pass_soon(data);
}

static void on_rtnl(int fd, uint32_t events, void *data)
{
	struct daemon *d = data;

	if (rtnl_events_read(fd, NULL) == 0)
		return;
	reconcile_network_changed(d->r);
	pass_soon(d);
}

static void on_nft(int fd, uint32_t events, void *data)
{
	struct daemon *d = data;

	if (nft_events_read(fd, reconcile_nft_portid(d->r), NULL) != 0)
		pass_soon(d);
}

static void on_records(int fd, uint32_t events, void *data)
{
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	reconcile_records_changed(((struct daemon *)data)->r);
	pass_soon(data);
}

/* A schedule's edge, or the clock was set (ECANCELED): the pass looks what time it is. */
static void on_clock(int fd, uint32_t events, void *data)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0 && errno == EAGAIN)
		return;
	pass_now(data);
}

static void on_ended(void *data)
{
	loop_quit(((struct daemon *)data)->loop);
}

static void on_end(int signo, void *data)
{
	struct daemon *d = data;

	log_info("ending", "signal=%d", signo);
	if (d->ending || !d->api || !api_end(d->api, on_ended, d))
		loop_quit(d->loop);
	d->ending = true;
	loop_timer_arm(d->end, END_MS);
}

static void on_hup(int signo, void *data)
{
	struct daemon *d = data;
	struct err e = {0};

	if (event_log_reopen(d->events, &e) < 0)
		log_warn("event log not opened again", "error=%s", log_quote(e.msg));
	membership_keys_read(d->membership);
	reconcile_forget(d->r);
	pass_soon(d);
}

/* ---- setting up ---- */

/*
 * Two of us on one state folder would give one number to two things, whether daemon or
 * --once. A run of --once ends soon, so a daemon waits for it.
 */
static int lock_alone(const struct daemon_conf *conf, int tries, int *ret_fd, struct err *e)
{
	__cleanup_free char *path = mem_printf("%s/sluiced.lock", conf->run_dir);
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
	const int say = tries - LOCK_TRIES_SAY;
	__cleanup_close int fd = -1;
	int rc = dir_make(conf->run_dir, 0755, e);

	if (rc < 0)
		return rc;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, -errno, "open %s", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (tries-- <= 0)
			return err_set(e, -EBUSY, "%s: another sluiced is at work in this runDir",
				       path);
		if (tries == say)
			log_info("waiting for another sluiced to end", "lock=%s", log_quote(path));
		nanosleep(&pause, NULL);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int records_watch(struct daemon *d, struct err *e)
{
	__cleanup_free char *path = mem_printf("%s/attachments", d->conf->state_dir);

	d->records_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (d->records_fd < 0 ||
	    inotify_add_watch(d->records_fd, path, IN_MOVED_TO | IN_DELETE) < 0)
		return err_sys(e, -errno, "watch %s", path);
	return loop_add_fd(d->loop, d->records_fd, EPOLLIN, on_records, d, e);
}

static int clock_watch(struct daemon *d, struct err *e)
{
	d->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->clock_fd < 0)
		return err_sys(e, -errno, "timer by the clock");
	return loop_add_fd(d->loop, d->clock_fd, EPOLLIN, on_clock, d, e);
}

static int events_open(struct daemon *d, struct err *e)
{
	int rc;

	rc = rtnl_events_open(-1, &d->rtnl_fd, e);
	if (rc == 0)
		rc = loop_add_fd(d->loop, d->rtnl_fd, EPOLLIN, on_rtnl, d, e);
	if (rc == 0)
		rc = nft_events_open(&d->nft_fd, e);
	if (rc == 0)
		rc = loop_add_fd(d->loop, d->nft_fd, EPOLLIN, on_nft, d, e);
	if (rc == 0)
		rc = records_watch(d, e);
	if (rc == 0)
		rc = clock_watch(d, e);
	if (rc == 0 && !daemon_conf_from_api(d->conf))
		rc = file_watch_new(d->loop, d->conf->policy_dir, pass_soon, d, &d->policies, e);
	return rc;
}

static int api_open(struct daemon *d, struct err *e)
{
	const struct api_in in = {
		.loop = d->loop,
		.conf = d->conf,
		.reconcile = d->r,
		.changed = on_api,
		.fetched = on_fetched,
		.data = d,
	};

	return daemon_conf_from_api(d->conf) ? api_new(&in, &d->api, e) : 0;
}

/* Objects come from files now: what an API said is over. */
static void origin_settle(const struct daemon_conf *conf)
{
	__cleanup_close int fd = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && !daemon_conf_from_api(conf))
		objects_log_remove(fd);
}

/* Without a key anybody could tell us connections. */
static int handover_open(struct daemon *d, struct err *e)
{
	const struct handover_in in = {.loop = d->loop,
				       .reconcile = d->r,
				       .port = d->conf->gateway_port,
				       .changed = pass_soon,
				       .data = d};

	return d->conf->gateway_key_file ? handover_new(&in, &d->handover, e) : 0;
}

static int membership_open(struct daemon *d, struct err *e)
{
	const struct membership_in in = {
		.loop = d->loop, .conf = d->conf, .changed = on_members, .data = d};
	int rc;

	if (!daemon_conf_heartbeats(d->conf))
		return 0;
	rc = membership_new(&in, &d->membership, e);
	if (rc < 0)
		return rc;
	reconcile_join(d->r, d->membership);
	return handover_open(d, e);
}

static int loop_open(struct daemon *d, struct err *e)
{
	int rc;

	rc = loop_new(&d->loop, e);
	if (rc == 0)
		rc = loop_timer_new(d->loop, on_soon, d, &d->soon, e);
	if (rc == 0)
		rc = loop_timer_new(d->loop, on_soon, d, &d->safety, e);
	if (rc == 0)
		rc = loop_timer_new(d->loop, on_timers, d, &d->timers, e);
	if (rc == 0)
		rc = loop_timer_new(d->loop, on_ended, d, &d->end, e);
	if (rc == 0)
		rc = loop_add_signal(d->loop, SIGTERM, on_end, d, e);
	if (rc == 0)
		rc = loop_add_signal(d->loop, SIGINT, on_end, d, e);
	if (rc == 0)
		rc = loop_add_signal(d->loop, SIGHUP, on_hup, d, e);
	return rc;
}

static void daemon_done(struct daemon *d)
{
	scrape_free(d->scrape);
	api_free(d->api);
	server_free(d->server);
	event_log_free(d->events);
	file_watch_free(d->policies);
	keeper_free(d->keeper);
	loop_timer_free(d->soon);
	loop_timer_free(d->safety);
	loop_timer_free(d->timers);
	handover_free(d->handover);
	membership_free(d->membership);
	loop_timer_free(d->end);
	loop_free(d->loop);
	reconcile_free(d->r);
	cleanup_closep(&d->rtnl_fd);
	cleanup_closep(&d->nft_fd);
	cleanup_closep(&d->records_fd);
	cleanup_closep(&d->lock_fd);
	cleanup_closep(&d->clock_fd);
}

static int scrape_open(struct daemon *d, struct err *e)
{
	const struct scrape_in in = {d->loop, d->conf, d->r, d->events, d->api};

	return d->conf->metrics_port ? scrape_new(&in, &d->scrape, e) : 0;
}

int daemon_run(const struct daemon_conf *conf, void (*ready)(void), struct err *e)
{
	__cleanup(daemon_done) struct daemon d = {.conf = conf,
						  .rtnl_fd = -1,
						  .nft_fd = -1,
						  .records_fd = -1,
						  .lock_fd = -1,
						  .clock_fd = -1};
	struct server_in in = {
		.run_dir = conf->run_dir, .asked = on_asked, .later = on_question, .data = &d};
	int rc;

	rc = lock_alone(conf, LOCK_TRIES_RUN, &d.lock_fd, e);
	if (rc == 0)
		origin_settle(conf);
	if (rc == 0)
		rc = retired_store(conf->state_dir, false, e);
	if (rc == 0)
		rc = reconcile_new(conf, &d.r, e);
	if (rc == 0)
		rc = loop_open(&d, e);
	if (rc == 0)
		rc = membership_open(&d, e);
	if (rc == 0)
		rc = events_open(&d, e); /* before the first look: nothing falls between */
	if (rc == 0)
		rc = api_open(&d, e);
	if (rc < 0)
		return rc;
	settle(); /* what the log told of very many is compiled now, which needs room of its own */
	pass_now(&d);
	rc = event_log_new(d.loop, d.r, conf->event_log, &d.events, e);
	if (rc < 0)
		return rc;
	in.loop = d.loop;
	in.reconcile = d.r;
	rc = server_new(&in, &d.server, e);
	if (rc == 0)
		rc = scrape_open(&d, e);
	if (rc == 0 && conf->cni_conf_dir) /* pods come once they can be served */
		rc = keeper_new(d.loop, conf, &d.keeper, e);
	if (rc < 0)
		return rc;
	ready();
	settle();
	return loop_run(d.loop, e);
}

int daemon_alone(const struct daemon_conf *conf, int *ret_fd, struct err *e)
{
	return lock_alone(conf, LOCK_TRIES_ONCE, ret_fd, e);
}

int daemon_once(const struct daemon_conf *conf, struct err *e)
{
	__cleanup_close int lock = -1;
	__cleanup(reconcile_freep) struct reconcile *r = NULL;
	__cleanup(membership_freep) struct membership *ms = NULL;
	const struct membership_in in = {.conf = conf}; /* hears nobody: it keeps what is there */
	int rc;

	rc = lock_alone(conf, LOCK_TRIES_ONCE, &lock, e);
	if (rc == 0)
		rc = retired_store(conf->state_dir, false, e);
	if (rc == 0)
		rc = reconcile_new(conf, &r, e);
	if (rc == 0 && daemon_conf_heartbeats(conf))
		rc = membership_new(&in, &ms, e);
	if (rc < 0)
		return rc;
	if (ms)
		reconcile_join(r, ms);
	for (int i = 0, again = ONCE_AGAIN; i < ONCE_PASSES; i++) {
		rc = reconcile_pass(r, e);
		if (rc < 0)
			return rc;
		if (rc > 0)
			continue;
		rc = reconcile_unasked(r, e);
		if (rc == 0 || again-- == 0)
			return rc;
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	}
	return err_set(e, -ETIMEDOUT, "addresses are still being probed after %d passes",
		       ONCE_PASSES);
}
