/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's packets without the pod: BPF_PROG_TEST_RUN of the pinned slu_from_pod, as often as the
 * processors can. Each call is of a flow of its own, "repeat" times; all must be denied.
 *
 *	slmeter denials PROGRAM INTERFACE MAC SOURCE DESTINATION SECONDS PROCESSES REPEAT
 * prints "packets N seconds S". INTERFACE is the number of the pod's host side, in this namespace.
 */
#include "meter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORTS	      60000u
#define FLOWS_APART   1000u /* ports of destination that each process has for itself */
#define CALLS_A_LOOK  64
#define MAX_PROCESSES 16
#define ID_BITS	      0x7fe00000u /* of the mark, as pkg/bpf/abi.h has it by default */
#define ID_SHIFT      21
#define LAST_REASON   13

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	uint8_t data[18];
} __attribute__((packed));

struct work {
	int prog;
	uint32_t ifindex, repeat;
	struct frame frame;
	uint64_t until;
};

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int program_get(const char *path)
{
	union bpf_attr attr = {.pathname = (uintptr_t)path};
	long fd = bpf(BPF_OBJ_GET, &attr);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return (int)fd;
}

static void frame_make(struct frame *f, char **argv)
{
	unsigned char *m = f->eth.h_source;

	*f = (struct frame){.eth = {.h_dest = {2, 0, 0, 0, 0, 1}, .h_proto = htons(ETH_P_IP)},
			    .ip = {.version = 4,
				   .ihl = 5,
				   .ttl = 64,
				   .protocol = IPPROTO_UDP,
				   .tot_len = htons(sizeof(*f) - sizeof(f->eth))},
			    .udp = {.len = htons(sizeof(f->udp) + sizeof(f->data))}};
	if (sscanf(argv[0], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &m[0], &m[1], &m[2], &m[3], &m[4],
		   &m[5]) != 6)
		fail("'%s' is not a MAC", argv[0]);
	if (inet_pton(AF_INET, argv[1], &f->ip.saddr) != 1 ||
	    inet_pton(AF_INET, argv[2], &f->ip.daddr) != 1)
		fail("'%s', '%s': not two IPv4 addresses", argv[1], argv[2]);
}

static void call(const struct work *w)
{
	struct __sk_buff ctx = {.ifindex = w->ifindex}, out;
	uint32_t reason;
	union bpf_attr attr = {.test = {
				       .prog_fd = (uint32_t)w->prog,
				       .data_in = (uintptr_t)&w->frame,
				       .data_size_in = sizeof(w->frame),
				       .ctx_in = (uintptr_t)&ctx,
				       .ctx_size_in = sizeof(ctx),
				       .ctx_out = (uintptr_t)&out,
				       .ctx_size_out = sizeof(out),
				       .repeat = w->repeat,
			       }};

	while (bpf(BPF_PROG_TEST_RUN, &attr) < 0)
		if (errno != EINTR && errno != EAGAIN)
			fail("test run: %s", strerror(errno));
	reason = (out.mark & ID_BITS) >> ID_SHIFT;
	if (reason == 0 || reason > LAST_REASON) /* nft drops what has one */
		fail("a packet passes: mark %#x", out.mark);
}

static uint64_t process_run(struct work *w, unsigned int number)
{
	uint64_t n = 0;

	while (n % CALLS_A_LOOK || now_ns() < w->until) {
		w->frame.udp.source = htons((uint16_t)(1024 + n % PORTS));
		w->frame.udp.dest = htons((uint16_t)(1 + number * FLOWS_APART + n / PORTS));
		call(w);
		n++;
	}
	return n * w->repeat;
}

int denials_main(int argc, char **argv)
{
	struct work w = {.prog = program_get(argv[0]),
			 .ifindex = (uint32_t)number_of(argv[1]),
			 .repeat = (uint32_t)number_of(argv[7])};
	unsigned int processes = (unsigned int)number_of(argv[6]);
	uint64_t *packets = mmap(NULL, sizeof(*packets) * MAX_PROCESSES, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t begun = now_ns(), all = 0;
	int failed = 0, status;

	if (packets == MAP_FAILED || processes > MAX_PROCESSES)
		fail("too many processes");
	frame_make(&w.frame, argv + 2);
	w.until = begun + (uint64_t)number_of(argv[5]) * 1000000000u;
	for (unsigned int i = 0; i < processes; i++)
		if (fork() == 0) {
			packets[i] = process_run(&w, i);
			_exit(0);
		}
	while (wait(&status) > 0)
		failed |= status;
	for (unsigned int i = 0; i < processes; i++)
		all += packets[i];
	printf("packets %llu seconds %.2f\n", (unsigned long long)all,
	       (double)(now_ns() - begun) / 1e9);
	return failed ? 2 : 0;
}
