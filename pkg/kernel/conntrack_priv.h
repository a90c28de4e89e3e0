/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between the conntrack*.c files only: the socket, and how the table is walked. */
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "kernel/conntrack.h"

#define CT_BUFFER (32 * 1024) /* the most that the kernel says in one piece */

struct ct_socket {
	struct mnl_socket *nl;
	uint32_t seq;
	char *buf;
	size_t used; /* of buf, by messages that are still to be sent */
};

int ct_socket_open(struct ct_socket *s, struct err *e);
void ct_socket_done(struct ct_socket *s);
/* A fresh message in the socket's buffer, behind those that are there. */
struct nlmsghdr *ct_message(struct ct_socket *s, uint16_t cmd, uint16_t flags, uint8_t family);
/* Receives into s->buf. The number of bytes, all of them whole messages, or -errno. */
ssize_t ct_receive(struct ct_socket *s);

/* One message for each of many things (conntrack_batch.c). */
struct ct_batch {
	/* by ct_message, without NLM_F_ACK; for the i-th of them */
	struct nlmsghdr *(*message)(struct ct_socket *s, size_t i, const void *data);
	bool (*spares)(int r); /* this refusal is the matter of one, and no reason to stop */
	const void *data;
};
/* *ret_done: how many were not refused, also when it fails. -errno of the kernel. */
int ct_batch(struct ct_socket *s, const struct ct_batch *b, size_t n, size_t *ret_done);

/* A deletion that was refused with r (-errno) is no failure: the entry had ended. */
bool ct_ended_by_itself(int r);

/* NULL = it is not there. */
const struct nlattr *ct_nested(const struct nlattr *nest, int type);
const struct nlattr *ct_top(const struct nlmsghdr *h, int type);
/* The address of a tuple, for the attribute that has it in the message's family. */
bool ct_tuple_addr(const struct nlattr *tuple, bool source, struct addr *ret);

/* False: it is not a TCP, UDP or SCTP connection with all that struct ct_flow needs. */
bool ct_flow_parse(const struct nlmsghdr *h, struct ct_flow *ret);

/* Whose connections, and what is to become of them; a torn dump tells some of them twice. */
struct ct_walk {
	const struct addr *sources; /* sorted */
	size_t n;
	bool seen; /* they are the sources as the other side sees them */
	void (*entry)(const struct nlmsghdr *h, const struct nlattr *tuple, void *data);
	void *data;
	uint32_t mark; /* all bits of it are in theirs; 0: whatever they have */
};

int ct_walk(struct ct_socket *s, const struct ct_walk *w, struct err *e);

/* CTA_TUPLE_ORIG, or CTA_TUPLE_REPLY as it is without translation; zone 0: none is told. */
void ct_put_tuple(struct nlmsghdr *h, const struct ct_flow *f, bool reply, uint16_t zone);
