/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one table of CNI error codes and the one form in which they are printed:
 * a JSON object on stdout (that is where libcni looks), exit code 1.
 * A function that can fail in the eyes of a runtime returns 0 or a positive
 * enum cni_code, with the message in its struct err.
 */
#include "base/err.h"

/* CNI specification 1.1.0, section 5 "Error"; 100 and above are ours. */
enum cni_code {
	CNI_OK = 0,
	CNI_INCOMPATIBLE_VERSION = 1,
	CNI_UNSUPPORTED_FIELD = 2, /* the message holds key and value */
	/* 3, unknown container, tells the runtime to skip the clean-up: never used */
	CNI_INVALID_ENV = 4, /* the message holds the names */
	CNI_IO_FAILURE = 5,
	CNI_DECODE_FAILURE = 6,
	CNI_INVALID_CONFIG = 7,
	CNI_INVALID_NETNS = 8, /* not in the specification; skel has it */
	CNI_TRY_AGAIN = 11,
	CNI_UNAVAILABLE = 50,
	CNI_NOT_GOVERNABLE = 100, /* a policy selects the pod, its interface cannot carry it */
	CNI_DATAPLANE = 101,	  /* the kernel refused */
	CNI_STATE = 102,	  /* our own store failed */
	CNI_CHECK_FAILED = 103,	  /* what ADD made is not in force */
};

/* The code for a failure that passes by itself (try again), else fallback. */
enum cni_code cni_code_from(int neg_errno, enum cni_code fallback);

/* malloc'd JSON {cniVersion, code, msg, details}; details may be NULL. */
char *cni_error_emit(const char *version, enum cni_code code, const char *msg, const char *details);

/* What is printed when no memory is left to print anything else: a complete error object. */
extern const char cni_error_no_memory[];
