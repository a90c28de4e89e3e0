/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <stdio.h>
#include <string.h>

socklen_t sockaddr_of(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return sizeof(*v6);
	}
	fail("'%s' is not an address", text);
}

void sockaddr_text(const struct sockaddr_storage *sa, char *buf, size_t len)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
	char text[INET6_ADDRSTRLEN];
	uint16_t port;

	if (sa->ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
		port = v4->sin_port;
	} else {
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
			inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, sizeof(text));
		else
			inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
		port = v6->sin6_port;
	}
	snprintf(buf, len, "%s %u", text, ntohs(port));
}

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} verbs[] = {
	{"serve", serve_main,
	 "PORT CONTROL-SOCKET [IFACE]   UDP and TCP; counts by source; IFACE: all packets"},
	{"counts", counts_main, "CONTROL-SOCKET [reset]"},
	{"ask", ask_main,
	 "udp|tcp ADDR PORT [timeout=MS] [size=N] [sport=N] [from=ADDR] [dev=NAME] [wait] [port]"},
	{"bulk", bulk_main, "up|down ADDR PORT BYTES"},
	{"talk", talk_main,
	 "ADDR PORT [n=N]   TCP connections; each line of stdin asks if they are alive"},
	{"hold", hold_main, "udp|tcp ADDR PORT   as many as it gets; told by lines of stdin"},
	{"names", names_main,
	 "SERVER PORT NAME [aaaa] [tcp] [count=N]   looks up, connects at once"},
	{"flood", flood_main, "ADDR PORT PPS SECONDS [flows=N] [size=N] [fresh]"},
	{"frame", frame_main, "IFACE [ring] [bypass] [ufo] [count=N] LAYER…"},
	{"dgram", dgram_main, "ADDR PORT [sport=N] [count=N] LAYER…"},
	{"tcx", tcx_main, "list|clear IFACE ingress|egress"},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 2, argv + 2);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(stderr, "usage: slprobe %s %s\n", verbs[i].name, verbs[i].usage);
	return 2;
}
