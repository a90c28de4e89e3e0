/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's multi handle on the loop: it tells which sockets and which one timer it waits for,
 * and is told when they fire. See kube_priv.h for what may happen within a callback.
 *
 * Idle, this costs nothing: libcurl's own limit on the speed of a transfer would look at each
 * every second, so silence is measured elsewhere (kube_watch.c), and a peer that is gone without a
 * word is found by the kernel's keepalive.
 */
#include "source/kube.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "source/kube_priv.h"

#define RETRY_AFTER_MOST 60
#define DOUBT_MS	 10000 /* a server that is only slow is left in peace */
#define DEAF_MS		 100

static const struct kube_times usual_times = {
	.connect_ms = 10000,
	.first_ms = 500,
	.most_ms = 30000,
	.calm_ms = 5000,
	.watch_s = 300,
	.quiet_ms = 240000, /* bookmarks come about once a minute */
	.list_ms = 65000,   /* the server itself gives up after 60 s */
};

/* ---- back-off ---- */

uint32_t kube_chance(uint32_t below)
{
	uint32_t chance;

	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
		chance = (uint32_t)clock_ms() * 2654435761u;
	return chance % below;
}

int64_t kube_backoff_within(struct kube_backoff *b, int first_ms, int most_ms,
			    unsigned int retry_after)
{
	int64_t ms = first_ms, least;

	for (unsigned int i = 0; i < b->tries && ms < most_ms; i++)
		ms *= 2;
	if (ms > most_ms)
		ms = most_ms;
	b->tries++;
	ms = ms / 2 + kube_chance((uint32_t)ms / 2 + 1);
	least = retry_after > RETRY_AFTER_MOST ? RETRY_AFTER_MOST : retry_after;
	least *= 1000;
	/* all who were told so come at once otherwise */
	return ms > least ? ms : least + ms % 1000;
}

int64_t kube_backoff_ms(struct kube_backoff *b, unsigned int retry_after)
{
	return kube_backoff_within(b, usual_times.first_ms, usual_times.most_ms, retry_after);
}

unsigned int kube_retry_after(const struct kube *k)
{
	return k->retry_after;
}

/* Digits without leading zeros, so that the longer one is the larger. */
static size_t version_digits(const char *s)
{
	size_t n = s ? strspn(s, "0123456789") : 0;

	return n && !s[n] ? n : 0;
}

int kube_version_compare(const char *a, const char *b)
{
	size_t na = version_digits(a), nb = version_digits(b);

	if (na != nb)
		return na < nb ? -1 : 1;
	return na ? strcmp(a, b) : 0;
}

/* ---- what libcurl does, and when ---- */

static int code_of(CURLcode result)
{
	switch (result) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return -EPROTO;
	default:
		return -ECONNRESET;
	}
}

/*
 * Two clusters' CAs have the same name as a rule. Then it is the signature that is wrong, and what
 * OpenSSL says of it is a line of its ASN.1 or RSA routines, which helps nobody.
 */
static const char *words_of(const struct kube_xfer *x, CURLcode result)
{
	if (result == CURLE_SSL_CONNECT_ERROR && strstr(x->words, " routines:") &&
	    !strstr(x->words, "SSL routines:"))
		return "the server's certificate is not signed by the CA that is to be trusted";
	return x->words[0] ? x->words : curl_easy_strerror(result);
}

static void finish(struct kube_xfer *x, CURLcode result)
{
	struct kube *k = x->kube;
	struct kube_end end = {
		.code = x->code,
		.status = kube_xfer_status(x),
		.what = x->what,
		.type = kube_xfer_type(x),
		.is_json = kube_xfer_is_json(x),
		.e = &x->e,
	};
	curl_off_t wait = 0;

	curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &wait);
	if (result == CURLE_OPERATION_TIMEDOUT && end.status == 0)
		kube_xfer_doubt(x, DOUBT_MS);
	if (end.code == 0 && result != CURLE_OK)
		end.code = err_set(&x->e, code_of(result), "%s: %s", k->conf.server,
				   words_of(x, result));
	if (end.code < 0)
		err_wrap(&x->e, "%s", x->what);
	k->retry_after = wait > 0 && wait < 3600 ? (unsigned int)wait : 0;
	x->dead = true;
	x->ops->end(x->data, &end);
	k->retry_after = 0;
	kube_xfer_release(x);
}

/* One of ours that is to be started, ended or released; false when there is none. */
static bool do_one(struct kube *k)
{
	struct kube_xfer *x = k->xfers;

	while (x && x->added && !x->dead)
		x = x->next;
	if (!x)
		return false;
	if (x->dead)
		kube_xfer_release(x);
	else if (x->code < 0)
		finish(x, CURLE_OK);
	else
		kube_xfer_start(x);
	return true;
}

static void after(struct kube *k)
{
	struct kube_xfer *x;
	CURLMsg *msg;
	int left;

	do {
		while ((msg = curl_multi_info_read(k->multi, &left))) {
			CURLcode result = msg->data.result;

			curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &x);
			if (!x->dead)
				finish(x, result);
		}
	} while (do_one(k));
}

static void drive(struct kube *k, curl_socket_t fd, int what)
{
	int running;

	k->within = true;
	curl_multi_socket_action(k->multi, fd, what, &running);
	k->within = false;
	after(k);
}

static void on_socket(int fd, uint32_t events, void *data)
{
	int what = 0;

	if (events & EPOLLIN)
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		what |= CURL_CSELECT_ERR;
	drive(data, fd, what);
}

static void on_timer(void *data)
{
	drive(data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_later(void *data)
{
	after(data);
}

static int want_timer(CURLM *multi, long ms, void *data)
{
	struct kube *k = data;

	loop_timer_arm(k->timer, ms);
	return 0;
}

static void socket_watch(struct kube *k, int fd, uint32_t events)
{
	if (loop_add_fd(k->loop, fd, events, on_socket, k, NULL) == 0)
		return;
	MEM_GROW(k->deaf, k->n_deaf);
	k->deaf[k->n_deaf++] = (struct kube_deaf){fd, events};
	loop_timer_arm(k->again, DEAF_MS);
}

static void socket_forget(struct kube *k, int fd)
{
	size_t kept = 0;

	loop_del_fd(k->loop, fd);
	for (size_t i = 0; i < k->n_deaf; i++)
		if (k->deaf[i].fd != fd)
			k->deaf[kept++] = k->deaf[i];
	k->n_deaf = kept;
}

static void on_again(void *data)
{
	struct kube *k = data;
	__cleanup_free struct kube_deaf *deaf = TAKE(k->deaf);
	size_t n = k->n_deaf;

	k->n_deaf = 0;
	for (size_t i = 0; i < n; i++)
		socket_watch(k, deaf[i].fd, deaf[i].events);
}

/*
 * seen: what the socket waits for already, kept by libcurl for us; NULL: it is new. Never -1:
 * libcurl would not do anything any more, for as long as the daemon lives.
 */
static int want_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *seen)
{
	struct kube *k = data;
	uint32_t events = 0;

	if (seen)
		socket_forget(k, fd);
	if (what == CURL_POLL_REMOVE)
		return 0;
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	socket_watch(k, fd, events);
	curl_multi_assign(k->multi, fd, k);
	return 0;
}

/* ---- the client ---- */

static char *part(CURLU *u, CURLUPart which, unsigned int flags)
{
	char *s = NULL, *copy;

	if (curl_url_get(u, which, &s, flags) != CURLUE_OK)
		return NULL;
	copy = mem_strdup(s);
	curl_free(s);
	return copy;
}

/*
 * tls-server-name: the URL has the name that the certificate must have, and the connection goes
 * where the server is.
 */
static int set_base(struct kube *k, struct err *e)
{
	__cleanup_free char *host = NULL, *port = NULL, *to = NULL, *base = NULL;
	CURLU *u;
	bool ok;

	if (!k->conf.tls_name) {
		k->base = mem_strdup(k->conf.server);
		return 0;
	}
	u = curl_url();
	if (!u)
		oom();
	ok = curl_url_set(u, CURLUPART_URL, k->conf.server, 0) == CURLUE_OK;
	host = part(u, CURLUPART_HOST, 0);
	port = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	ok = ok && host && port &&
	     curl_url_set(u, CURLUPART_HOST, k->conf.tls_name, 0) == CURLUE_OK;
	base = part(u, CURLUPART_URL, 0);
	curl_url_cleanup(u);
	if (!ok || !base)
		return err_set(e, -EINVAL, "server %s, tls-server-name %s: not a URL",
			       k->conf.server, k->conf.tls_name);
	to = mem_printf("::%s:%s", host, port);
	k->connect_to = curl_slist_append(NULL, to);
	if (base[strlen(base) - 1] == '/')
		base[strlen(base) - 1] = '\0';
	k->base = TAKE(base);
	return k->connect_to ? 0 : (oom(), 0);
}

static int start(struct kube *k, struct err *e)
{
	int r = loop_timer_new(k->loop, on_timer, k, &k->timer, e);

	if (r == 0)
		r = loop_timer_new(k->loop, on_later, k, &k->later, e);
	if (r == 0)
		r = loop_timer_new(k->loop, on_again, k, &k->again, e);
	if (r == 0)
		r = set_base(k, e);
	if (r < 0)
		return r;
	k->multi = curl_multi_init();
	if (!k->multi)
		oom();
	curl_multi_setopt(k->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(k->multi, CURLMOPT_SOCKETDATA, k);
	curl_multi_setopt(k->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(k->multi, CURLMOPT_TIMERDATA, k);
	curl_multi_setopt(k->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	return 0;
}

int kube_new(struct loop *l, const struct kube_conf *conf, struct kube **ret, struct err *e)
{
	__cleanup_kube struct kube *k = NULL;
	CURLcode c = curl_global_init(CURL_GLOBAL_DEFAULT);
	int r;

	if (c != CURLE_OK)
		return err_set(e, -EIO, "libcurl: %s", curl_easy_strerror(c));
	k = mem_alloc0(sizeof(*k));
	*k = (struct kube){.loop = l, .times = usual_times};
	kube_conf_dup(conf, &k->conf);
	r = start(k, e);
	if (r < 0)
		return r;
	*ret = TAKE(k);
	return 0;
}

void kube_free(struct kube *k)
{
	if (!k)
		return;
	while (k->xfers) {
		struct kube_xfer *x = k->xfers;

		if (!x->dead)
			x->ops->drop(x->data);
		kube_xfer_release(x);
	}
	curl_multi_cleanup(k->multi);
	curl_slist_free_all(k->connect_to);
	loop_timer_free(k->timer);
	loop_timer_free(k->later);
	loop_timer_free(k->again);
	free(k->deaf);
	kube_conf_done(&k->conf);
	free(k->base);
	free(k);
	curl_global_cleanup();
}

void kube_on_refused(struct kube *k, void (*told)(void *data, const char *what), void *data)
{
	k->told_refused = told;
	k->refused_data = data;
}

/* 403 and 404 are said to whom is known, too; 5xx to anybody. */
void kube_heard_status(struct kube *k, int status, const char *what)
{
	bool refused = status == 401;

	if (status < 200 || status >= 500 || status == 429 || refused == k->refused)
		return;
	k->refused = refused;
	if (k->told_refused)
		k->told_refused(k->refused_data, refused ? what : NULL);
}

const char *kube_namespace(const struct kube *k)
{
	return k->conf.namespace;
}
