/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The door to libbpf for files that include maps.h as well: C has one name space
 * for tags, and both libbpf and maps.h have a bpf_map in it. Here libbpf's is
 * called libbpf_map; the functions are the same.
 */
#define bpf_map libbpf_map
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#undef bpf_map
