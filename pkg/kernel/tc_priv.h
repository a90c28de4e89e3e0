/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The two ways of tc.c: tc_tcx.c and tc_clsact.c. A program is known by id and name. */
#include "kernel/tc.h"

#define TC_NAME_LEN 16 /* BPF_OBJ_NAME_LEN */

struct tc_prog {
	int fd;
	uint32_t id;
	char name[TC_NAME_LEN];
};

int tcx_attach(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog, struct err *e);
int tcx_detach(uint32_t ifindex, enum tc_dir dir, const char *prog_name, struct err *e);
/* Fills *ret when ours is there in some form; 1 = it is, 0 = not, -errno. */
int tcx_query(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog, struct tc_state *ret,
	      struct err *e);
/* True when the kernel knows the attach type. */
int tcx_probe(void); /* 1, 0 or -errno */
/* BPF_OBJ_GET_INFO_BY_FD; prog->fd is kept. */
int tc_prog_info(int fd, struct tc_prog *ret);

int clsact_attach(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog, struct err *e);
int clsact_detach(uint32_t ifindex, enum tc_dir dir, const char *prog_name, struct err *e);
int clsact_query(uint32_t ifindex, enum tc_dir dir, const struct tc_prog *prog,
		 struct tc_state *ret, struct err *e);
