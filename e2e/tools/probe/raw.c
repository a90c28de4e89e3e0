/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame: puts hand-made frames on a device, past the stack: plainly, through a
 * TX_RING ("ring": such frames have a linear part of 14 bytes only) or past the
 * queueing discipline ("bypass"), or with the checksum left to the card ("csum=AT": two bytes
 * there, of everything behind them), or for the kernel to cut a UDP packet into IP fragments
 * ("ufo"). dgram: the same layers as the payload of an ordinary UDP
 * socket, which is how a process without privileges would forge VXLAN.
 */
#include "probe.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_FRAME  4096
#define RING_FRAME 4096
#define RING_COUNT 16
#define UFO_SIZE   800 /* of what a fragment carries, a multiple of 8 */

static int packet_socket(const char *iface, struct sockaddr_ll *ret_to, bool bypass)
{
	int on = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	*ret_to = (struct sockaddr_ll){.sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = (int)if_nametoindex(iface),
				       .sll_halen = 6};
	if (fd < 0 || !ret_to->sll_ifindex)
		fail("%s: %m", iface);
	if (bypass && setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		fail("PACKET_QDISC_BYPASS: %m");
	return fd;
}

static void vnet_header_set(int fd)
{
	int on = 1;

	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)))
		fail("PACKET_VNET_HDR: %m");
}

/* In front of a UDP packet that is to be cut into IP fragments. */
static struct virtio_net_hdr ufo_header(const uint8_t *frame)
{
	const uint8_t *ip = frame + ETH_HLEN;
	uint16_t start;

	while (*ip >> 4 != 4 && *ip >> 4 != 6) /* tags: their ids are small */
		ip += 4;
	start = (uint16_t)(ip - frame + (*ip >> 4 == 6 ? 40 : 20));
	return (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .gso_type = VIRTIO_NET_HDR_GSO_UDP,
				       .hdr_len = start + 8,
				       .gso_size = UFO_SIZE,
				       .csum_start = start,
				       .csum_offset = 6};
}

static void ring_send(int fd, const struct sockaddr_ll *to, const uint8_t *frame, size_t len)
{
	struct tpacket_req req = {.tp_block_size = RING_FRAME * RING_COUNT,
				  .tp_block_nr = 1,
				  .tp_frame_size = RING_FRAME,
				  .tp_frame_nr = RING_COUNT};
	struct tpacket2_hdr *slot;
	int version = TPACKET_V2;

	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof(req)))
		fail("TX_RING: %m");
	slot = mmap(NULL, RING_FRAME * RING_COUNT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (slot == MAP_FAILED || bind(fd, (const struct sockaddr *)to, sizeof(*to)))
		fail("TX_RING: %m");
	memcpy((uint8_t *)slot + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), frame, len);
	slot->tp_len = (uint32_t)len;
	slot->tp_status = TP_STATUS_SEND_REQUEST;
	if (send(fd, NULL, 0, 0) < 0)
		fail("TX_RING send: %m");
}

/* The frame, and before it that the checksum is to be written at that place. */
static void csum_send(int fd, const struct sockaddr_ll *to, const uint8_t *frame, size_t len,
		      uint16_t at)
{
	const uint16_t start = at < 54 ? 34
				       : 54; /* the kernel wants it behind 20 bytes of IP header */
	struct virtio_net_hdr head = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = start,
		.csum_offset = (uint16_t)(at - start),
	};
	struct iovec parts[] = {{&head, sizeof(head)}, {(void *)(uintptr_t)frame, len}};
	const struct msghdr m = {.msg_name = (void *)(uintptr_t)to,
				 .msg_namelen = sizeof(*to),
				 .msg_iov = parts,
				 .msg_iovlen = 2};

	vnet_header_set(fd);
	if (sendmsg(fd, &m, 0) < 0)
		fail("send: %m");
}

int frame_main(int argc, char **argv)
{
	uint8_t buf[sizeof(struct virtio_net_hdr) + MAX_FRAME];
	uint8_t *frame = buf + sizeof(struct virtio_net_hdr);
	struct sockaddr_ll to;
	bool ring = false, bypass = false, ufo = false;
	long times = 1, csum = 0;
	size_t len;
	int fd, i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "ring"))
			ring = true;
		else if (!strcmp(argv[i], "bypass"))
			bypass = true;
		else if (!strcmp(argv[i], "ufo"))
			ufo = true;
		else if (!strncmp(argv[i], "count=", 6))
			times = number_of(argv[i] + 6);
		else if (!strncmp(argv[i], "csum=", 5))
			csum = number_of(argv[i] + 5);
		else
			break;
	}
	if (i >= argc)
		fail("frame IFACE [ring] [bypass] [ufo] [csum=AT] [count=N] LAYER…");
	len = layers_build(argv + i, argc - i, frame, MAX_FRAME);
	fd = packet_socket(argv[0], &to, bypass);
	if (ufo) {
		const struct virtio_net_hdr head = ufo_header(frame);

		frame = memcpy(buf, &head, sizeof(head));
		len += sizeof(head);
		vnet_header_set(fd);
	}
	if (ring || csum) {
		if (ring)
			ring_send(fd, &to, frame, len);
		else
			csum_send(fd, &to, frame, len, (uint16_t)csum);
		return 0;
	}
	while (times-- > 0)
		if (sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			fail("send: %m");
	return 0;
}

int dgram_main(int argc, char **argv)
{
	uint8_t data[MAX_FRAME];
	struct sockaddr_storage to, from = {0};
	long times = 1, sport = 0;
	socklen_t to_len;
	size_t len;
	int fd, i;

	for (i = 2; i < argc; i++) {
		if (!strncmp(argv[i], "count=", 6))
			times = number_of(argv[i] + 6);
		else if (!strncmp(argv[i], "sport=", 6))
			sport = number_of(argv[i] + 6);
		else
			break;
	}
	if (i >= argc)
		fail("dgram ADDR PORT [sport=N] [count=N] LAYER…");
	len = layers_build(argv + i, argc - i, data, sizeof(data));
	to_len = sockaddr_of(argv[0], (uint16_t)number_of(argv[1]), &to);
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	from.ss_family = to.ss_family;
	((struct sockaddr_in *)&from)->sin_port = htons((uint16_t)sport);
	if (fd < 0 || (sport && bind(fd, (struct sockaddr *)&from, to_len)))
		fail("bind: %m");
	while (times-- > 0)
		if (sendto(fd, data, len, 0, (struct sockaddr *)&to, to_len) < 0) {
			printf("refused: %s\n", strerror(errno));
			return 1;
		}
	return 0;
}
