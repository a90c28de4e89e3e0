/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "source/kube_priv.h"

/* A peer that answers no probe is gone after 40 s, one that owes us an ACK after 30. */
#define KEEPALIVE_IDLE_S     30
#define KEEPALIVE_INTERVAL_S 10
#define UNANSWERED_MS	     30000

static void unlink_xfer(struct kube_xfer *x)
{
	*(x->prev ? &x->prev->next : &x->kube->xfers) = x->next;
	*(x->next ? &x->next->prev : &x->kube->last) = x->prev;
}

void kube_xfer_release(struct kube_xfer *x)
{
	if (x->added)
		curl_multi_remove_handle(x->kube->multi, x->easy);
	curl_easy_cleanup(x->easy);
	curl_slist_free_all(x->headers);
	unlink_xfer(x);
	free(x->what);
	free(x);
}

void kube_xfer_free(struct kube_xfer *x)
{
	if (!x || x->dead)
		return;
	if (x->kube->within) {
		x->dead = true;
		loop_timer_arm(x->kube->later, 0);
		return;
	}
	kube_xfer_release(x);
}

int kube_xfer_status(const struct kube_xfer *x)
{
	long status = 0;

	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

const char *kube_xfer_type(const struct kube_xfer *x)
{
	char *type = NULL;

	curl_easy_getinfo(x->easy, CURLINFO_CONTENT_TYPE, &type);
	return type ? type : "no content type";
}

bool kube_xfer_is_json(const struct kube_xfer *x)
{
	const char *type = kube_xfer_type(x);
	size_t n = strcspn(type, "; ");

	return n == strlen(KUBE_JSON) && strncasecmp(type, KUBE_JSON, n) == 0;
}

void kube_xfer_doubt(struct kube_xfer *x, int quiet_ms)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	curl_socket_t fd = CURL_SOCKET_BAD;

	curl_easy_getinfo(x->easy, CURLINFO_ACTIVESOCKET, &fd);
	if (fd == CURL_SOCKET_BAD || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return;
	if (info.tcpi_retransmits >= 2 || info.tcpi_last_data_recv >= (unsigned int)quiet_ms)
		shutdown(fd, SHUT_RDWR);
}

static size_t on_bytes(char *p, size_t size, size_t n, void *data)
{
	struct kube_xfer *x = data;
	int r;

	if (x->dead || x->code < 0)
		return 0;
	r = x->ops->bytes(x->data, p, size * n, &x->e);
	if (r < 0)
		x->code = r;
	return x->dead || r < 0 ? 0 : size * n;
}

/* The empty line behind the headers, of the answer itself (not of a "100 Continue"). */
static size_t on_header(char *p, size_t size, size_t n, void *data)
{
	struct kube_xfer *x = data;
	int status;

	if (size * n != 2 || p[0] != '\r' || x->dead)
		return size * n;
	status = kube_xfer_status(x);
	kube_heard_status(x->kube, status, x->what);
	if (x->ops->head && status >= 200)
		x->ops->head(x->data);
	return size * n;
}

static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *a)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, UNANSWERED_MS},
	};
	/* libcurl asks for it as well, but does not look whether it got it, and would block us */
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);

	for (size_t i = 0; fd >= 0 && i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			   sizeof(options[i].value));
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static void add_header(struct kube_xfer *x, const char *name, const char *value)
{
	__cleanup_free char *line = mem_printf("%s:%s%s", name, *value ? " " : "", value);
	struct curl_slist *list = curl_slist_append(x->headers, line);

	if (!list)
		oom();
	x->headers = list;
}

/* CA, certificate and key, each from memory or from a file that is read for each connection. */
static void set_pem(CURL *easy, const struct kube_pem *p, CURLoption blob, CURLoption file)
{
	struct curl_blob b = {.data = p->data, .len = p->len, .flags = CURL_BLOB_NOCOPY};

	if (p->data)
		curl_easy_setopt(easy, blob, &b);
	else if (p->file)
		curl_easy_setopt(easy, file, p->file);
}

static void set_trust(CURL *easy, const struct kube_conf *c)
{
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (c->ca.data || c->ca.file) { /* and not the machine's as well */
		curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
		curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	}
	set_pem(easy, &c->ca, CURLOPT_CAINFO_BLOB, CURLOPT_CAINFO);
	set_pem(easy, &c->cert, CURLOPT_SSLCERT_BLOB, CURLOPT_SSLCERT);
	set_pem(easy, &c->key, CURLOPT_SSLKEY_BLOB, CURLOPT_SSLKEY);
}

static void set_way(struct kube_xfer *x, const struct kube_order *order)
{
	__cleanup_free char *url = mem_printf("%s%s", x->kube->base, order->path);
	CURL *easy = x->easy;

	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* else giving up on a name would wait for the thread that asks for it */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	/* asked anew for each connection, and another of several servers first */
	curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	curl_easy_setopt(easy, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, x->kube->connect_to);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)x->kube->times.connect_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)order->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	set_trust(easy, &x->kube->conf);
}

static int check_path(struct kube_xfer *x, const char *path)
{
	bool bad = path[0] != '/';

	for (const char *p = path; *p; p++)
		bad = bad || *p <= ' ' || *p > '~';
	return bad ? err_set(&x->e, -EINVAL, "no path of a URL") : 0;
}

static int set_headers(struct kube_xfer *x, const struct kube_order *order)
{
	__cleanup_free char *token = NULL, *bearer = NULL;
	int r = check_path(x, order->path);

	if (r == 0)
		r = kube_conf_token(&x->kube->conf, &token, &x->e);
	if (r < 0)
		return r;
	if (token) {
		bearer = mem_printf("Bearer %s", token);
		add_header(x, "Authorization", bearer);
	}
	add_header(x, "Accept", KUBE_JSON);
	add_header(x, "User-Agent", "sluice/" SLUICE_VERSION);
	if (order->body) {
		add_header(x, "Content-Type",
			   order->content_type ? order->content_type : KUBE_JSON);
		add_header(x, "Expect", "");
	}
	curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
	return 0;
}

static void set_body(struct kube_xfer *x, const struct kube_order *order)
{
	if (order->body) {
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)strlen(order->body));
		curl_easy_setopt(x->easy, CURLOPT_COPYPOSTFIELDS, order->body);
	}
	if (order->body || strcmp(order->method, "GET") != 0)
		curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, order->method);
	curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->words);
	curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
}

void kube_xfer_start(struct kube_xfer *x)
{
	CURLMcode r = curl_multi_add_handle(x->kube->multi, x->easy);

	x->added = r == CURLM_OK;
	if (!x->added)
		x->code = err_set(&x->e, -EIO, "libcurl: %s", curl_multi_strerror(r));
}

struct kube_xfer *kube_xfer_new(struct kube *k, const struct kube_order *order)
{
	struct kube_xfer *x = mem_alloc0(sizeof(*x));

	*x = (struct kube_xfer){.kube = k, .ops = order->ops, .data = order->data};
	x->what = mem_printf("%s %.*s", order->method, (int)strcspn(order->path, "?"), order->path);
	x->easy = curl_easy_init();
	if (!x->easy)
		oom();
	x->prev = k->last;
	*(x->prev ? &x->prev->next : &k->xfers) = x;
	k->last = x;
	set_way(x, order);
	set_body(x, order);
	x->code = set_headers(x, order);
	if (x->code == 0 && !k->within)
		kube_xfer_start(x);
	if (!x->added)
		loop_timer_arm(k->later, 0);
	return x;
}
