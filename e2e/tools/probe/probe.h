/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * slprobe: what the end-to-end tests send with and are judged by. One program,
 * a verb each; addresses are IPv4 or IPv6 as they come.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../tool.h"

#define PROBE_TEXT (INET6_ADDRSTRLEN + 16)

/* "192.0.2.1" or "2001:db8::1" → sockaddr; ends the program if it is neither */
socklen_t sockaddr_of(const char *text, uint16_t port, struct sockaddr_storage *ret);
/* "192.0.2.1 4711"; IPv4-mapped addresses as IPv4 */
void sockaddr_text(const struct sockaddr_storage *sa, char *buf, size_t len);

/* serve.c */
int serve_main(int argc, char **argv);
int counts_main(int argc, char **argv);
/* ask.c */
int ask_main(int argc, char **argv);
int bulk_main(int argc, char **argv);
int talk_main(int argc, char **argv);
/* hold.c */
int hold_main(int argc, char **argv);
/* names.c */
int names_main(int argc, char **argv);
/* flood.c */
int flood_main(int argc, char **argv);
/* raw.c */
int frame_main(int argc, char **argv);
int dgram_main(int argc, char **argv);
/* tcx.c */
int tcx_main(int argc, char **argv);
/* layers.c: builds "eth:… ip:… udp:…" into buf, returns the length */
size_t layers_build(char **specs, int n, uint8_t *buf, size_t cap);
