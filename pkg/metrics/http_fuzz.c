/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes from a client of the metrics' port, in up to three pieces, and then its end: it gets
 * whole answers or none, the page only when it asked for it, and keeps no place.
 */
#include "metrics/http.c"

#include <assert.h>
#include <stdbool.h>
#include <sys/un.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http *http;

static char *on_metrics(void *data, size_t *ret_len)
{
	*ret_len = 6;
	return mem_strdup("n 100\n");
}

static bool on_readyz(void *data, char *why, size_t bytes)
{
	return true;
}

static void start(void)
{
	struct http_in in = {.addr = addr_from_v4((const uint8_t[4]){127, 0, 0, 1}),
			     .metrics = on_metrics,
			     .ready = on_readyz};

	assert(loop_new(&in.loop, NULL) == 0);
	assert(http_new(&in, &http, NULL) == 0 && http_port(http));
}

/* Handed to the library as if it had connected: TCP would run out of ports. */
static int client(void)
{
	const struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	assert(MHD_add_connection(http->daemon, pair[0], (const struct sockaddr *)&sa,
				  sizeof(sa.sun_family)) == MHD_YES);
	return pair[1];
}

static void serve(void)
{
	for (int i = 0; i < 3; i++)
		run(http);
}

static void hear(int fd, const uint8_t *asked, size_t size)
{
	static char said[1 << 16];
	ssize_t n = recv(fd, said, sizeof(said) - 1, MSG_DONTWAIT);

	if (n <= 0)
		return;
	said[n] = '\0';
	assert(strncmp(said, "HTTP/1.", 7) == 0 && strstr(said, "\r\n\r\n"));
	assert(!strstr(said, "n 100\n") || memmem(asked, size, "/metrics", 8) ||
	       memchr(asked, '%', size));
}

/* The first two bytes say where the pieces end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0, cuts[3];
	int fd;

	if (!http)
		start();
	if (size < 2)
		return 0;
	cuts[0] = data[0] < size - 2 ? data[0] : size - 2;
	cuts[1] = cuts[0] + (data[1] < size - 2 - cuts[0] ? data[1] : size - 2 - cuts[0]);
	cuts[2] = size - 2;
	data += 2;
	fd = client();
	for (size_t i = 0; i < 3; at = cuts[i++]) {
		if (cuts[i] == at)
			continue;
		send(fd, data + at, cuts[i] - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		serve();
	}
	hear(fd, data, size - 2);
	close(fd);
	serve();
	assert(http->n_clients == 0);
	return 0;
}
