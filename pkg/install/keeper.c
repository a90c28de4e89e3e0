/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Others watch the folder, too, and answer to what they see. So a list that says the
 * same is not written again, what others append to ours stays, and who takes ours away
 * again and again gets it back ever more slowly.
 */
#include "install/keeper.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "install/folder.h"
#include "install/install.h"
#include "json/json.h"

#define DEBOUNCE_MS    50  /* of a burst of events, from its first one */
#define PENDING_MS     100 /* until what passes by itself is looked at again */
#define MISSING_MS     500 /* the folder */
#define RESCAN_MS      5000
#define LOST_FREE      3     /* times that our list is put back at once */
#define LOST_MAX_MS    30000 /* and how long it may take in the end */
#define LOST_FORGOTTEN 60000 /* after so long without a loss */

#define EVENTS                                                                              \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct keeper {
	struct loop *loop;
	const struct daemon_conf *conf;
	struct json *fallback;
	struct loop_timer *timer;
	int inotify, wd;
	dev_t dev; /* of the watched folder */
	ino_t ino;
	bool burst;
	char *last;	       /* our list as it was right */
	int64_t pending_since; /* ms, 0 = nothing is pending */
	int64_t lost_at, write_at;
	unsigned int lost;
	struct err said;
};

static void say(struct keeper *k, const struct err *e)
{
	if (strcmp(k->said.msg, e->msg) == 0)
		return;
	k->said = *e;
	if (e->code)
		log_warn("network configuration", "folder=%s reason=%s",
			 log_quote(k->conf->cni_conf_dir), log_quote(e->msg));
}

/* The folder of today: it may be another than a moment ago. Without watches there is the clock. */
static void watch_again(struct keeper *k)
{
	struct stat st;

	if (stat(k->conf->cni_conf_dir, &st) < 0)
		st.st_ino = 0;
	if (k->wd >= 0 && st.st_ino && st.st_dev == k->dev && st.st_ino == k->ino)
		return;
	if (k->wd >= 0)
		inotify_rm_watch(k->inotify, k->wd);
	k->wd = st.st_ino ? inotify_add_watch(k->inotify, k->conf->cni_conf_dir, EVENTS) : -1;
	k->dev = st.st_dev;
	k->ino = st.st_ino;
}

/* How long to wait with putting it back: whoever takes it away may be doing so for ever. */
static int64_t lost_delay(struct keeper *k)
{
	int64_t now = clock_ms();

	if (!k->write_at) {
		if (now - k->lost_at > LOST_FORGOTTEN)
			k->lost = 0;
		k->lost_at = now;
		k->lost++;
		k->write_at = now;
		if (k->lost == LOST_FREE + 1)
			log_warn("somebody removes or changes our list again and again",
				 "file=%s/%s cure=%s", log_quote(k->conf->cni_conf_dir), CHAIN_FILE,
				 log_quote("for Cilium, set cni.exclusive=false"));
		if (k->lost > LOST_FREE)
			k->write_at += k->lost - LOST_FREE > 8 ? LOST_MAX_MS
							       : 100LL << (k->lost - LOST_FREE);
	}
	return k->write_at - now;
}

static void written(struct keeper *k, struct chain_plan *p)
{
	log_info("network configuration written", "file=%s/%s copy_of=%s",
		 log_quote(k->conf->cni_conf_dir), CHAIN_FILE, log_quote(p->main));
	free(k->last);
	k->last = TAKE(p->text);
	k->write_at = 0;
}

/* ms until the next look. */
static int64_t plan_apply(struct keeper *k, struct chain_plan *p)
{
	struct err e = {0};

	if (p->pending && !k->pending_since)
		k->pending_since = clock_ms();
	if (!p->pending)
		k->pending_since = 0;
	say(k, &p->why);
	if (p->lost && p->text && lost_delay(k) > 0)
		return lost_delay(k);
	if (p->text && chain_file_store(k->conf->cni_conf_dir, p->text, &e) < 0)
		say(k, &e);
	else if (p->text)
		written(k, p);
	return p->pending ? PENDING_MS : RESCAN_MS;
}

static const struct chain_file *own_file(const struct chain_dir *dir)
{
	for (size_t i = 0; i < dir->n; i++)
		if (strcmp(dir->files[i].name, CHAIN_FILE) == 0 && dir->files[i].text)
			return &dir->files[i];
	return NULL;
}

static int64_t look(struct keeper *k)
{
	__cleanup(chain_dir_done) struct chain_dir dir = {0};
	__cleanup(chain_plan_done) struct chain_plan p = {0};
	struct chain_in in = {
		.dir = &dir,
		.entry = k->conf->cni_entry,
		.fallback = k->fallback,
		.last = k->last,
		.settled = k->pending_since && clock_ms() - k->pending_since >= INSTALL_GRACE_MS,
	};
	const struct chain_file *own;
	struct err e = {0};
	int64_t next;

	watch_again(k);
	if (chain_dir_load(k->conf->cni_conf_dir, &dir, &e) < 0) {
		say(k, &e);
		return MISSING_MS;
	}
	chain_plan(&in, &p);
	own = own_file(&dir);
	/* as it is there, it is right: what to put back, should somebody take it */
	if (!p.text && own && *p.main && (!k->last || strcmp(k->last, own->text) != 0)) {
		free(k->last);
		k->last = mem_strdup(own->text);
	}
	next = plan_apply(k, &p);
	return next;
}

static void on_time(void *data)
{
	struct keeper *k = data;

	k->burst = false;
	loop_timer_arm(k->timer, look(k));
}

static void on_events(int fd, uint32_t events, void *data)
{
	struct keeper *k = data;
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *ev;
	ssize_t n;

	/* whatever it was, everything is looked at; but a watch ends with its folder */
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n; p += sizeof(*ev) + ev->len) {
			ev = (const void *)p;
			if (ev->mask & IN_IGNORED && ev->wd == k->wd)
				k->wd = -1;
		}
	}
	if (k->burst)
		return;
	k->burst = true;
	loop_timer_arm(k->timer, DEBOUNCE_MS);
}

static int start(struct keeper *k, struct err *e)
{
	int r = loop_timer_new(k->loop, on_time, k, &k->timer, e);

	if (r < 0)
		return r;
	k->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (k->inotify >= 0)
		r = loop_add_fd(k->loop, k->inotify, EPOLLIN, on_events, k, e);
	else
		log_warn("no inotify: the folder is looked at every few seconds", "error=%s",
			 log_quote(strerror(errno)));
	if (r == 0)
		on_time(k);
	return r;
}

int keeper_new(struct loop *l, const struct daemon_conf *conf, struct keeper **ret, struct err *e)
{
	struct keeper *k = mem_alloc0(sizeof(*k));
	int r;

	*k = (struct keeper){.loop = l, .conf = conf, .inotify = -1, .wd = -1};
	k->fallback = install_entry(conf, getenv("POD_NAMESPACE"));
	r = start(k, e);
	if (r < 0)
		keeper_free(k);
	else
		*ret = k;
	return r;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	loop_timer_free(k->timer);
	if (k->inotify >= 0) {
		loop_del_fd(k->loop, k->inotify);
		close(k->inotify);
	}
	json_free(k->fallback);
	free(k->last);
	free(k);
}
