/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * OpenSSL as squall-tls uses it. It is loaded there when it is needed: linked, it would cost every
 * start of squall a millisecond, and lie in the memory of every process of it.
 */
#ifndef SQUALL_HTTP_TLS_LIBRARY_H
#define SQUALL_HTTP_TLS_LIBRARY_H

#include "injector/base/error.h"
#include "injector/base/params.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

/* Macros of its headers that would call others of its functions are not to be used. */
#define HTTP_TLS_FUNCTIONS(ONE)                                                                    \
	ONE(OPENSSL_init_ssl)                                                                      \
	ONE(TLS_server_method)                                                                     \
	ONE(TLS_client_method)                                                                     \
	ONE(SSL_CTX_new)                                                                           \
	ONE(SSL_CTX_ctrl)                                                                          \
	ONE(SSL_CTX_set_options)                                                                   \
	ONE(SSL_CTX_set_alpn_select_cb)                                                            \
	ONE(SSL_CTX_set_alpn_protos)                                                               \
	ONE(SSL_CTX_use_certificate)                                                               \
	ONE(SSL_CTX_use_PrivateKey)                                                                \
	ONE(SSL_CTX_check_private_key)                                                             \
	ONE(SSL_CTX_get_cert_store)                                                                \
	ONE(SSL_CTX_set_verify)                                                                    \
	ONE(SSL_select_next_proto)                                                                 \
	ONE(SSL_new)                                                                               \
	ONE(SSL_free)                                                                              \
	ONE(SSL_ctrl)                                                                              \
	ONE(SSL_set_fd)                                                                            \
	ONE(SSL_set_accept_state)                                                                  \
	ONE(SSL_set_connect_state)                                                                 \
	ONE(SSL_set1_host)                                                                         \
	ONE(SSL_do_handshake)                                                                      \
	ONE(SSL_read)                                                                              \
	ONE(SSL_write)                                                                             \
	ONE(SSL_shutdown)                                                                          \
	ONE(SSL_get_error)                                                                         \
	ONE(SSL_get_servername)                                                                    \
	ONE(SSL_get_verify_result)                                                                 \
	ONE(BIO_new_mem_buf)                                                                       \
	ONE(BIO_free)                                                                              \
	ONE(PEM_read_bio_X509)                                                                     \
	ONE(PEM_read_bio_PrivateKey)                                                               \
	ONE(EVP_PKEY_free)                                                                         \
	ONE(X509_free)                                                                             \
	ONE(X509_STORE_add_cert)                                                                   \
	ONE(X509_get_subject_name)                                                                 \
	ONE(X509_NAME_oneline)                                                                     \
	ONE(X509_get0_notBefore)                                                                   \
	ONE(X509_get0_notAfter)                                                                    \
	ONE(X509_cmp_current_time)                                                                 \
	ONE(X509_verify_cert_error_string)                                                         \
	ONE(ASN1_TIME_to_tm)                                                                       \
	ONE(ERR_peek_error)                                                                        \
	ONE(ERR_peek_last_error)                                                                   \
	ONE(ERR_clear_error)                                                                       \
	ONE(ERR_reason_error_string)

struct http_tls_library {
#define MEMBER(name) __typeof__(name) *name;
	HTTP_TLS_FUNCTIONS(MEMBER)
#undef MEMBER
};

extern struct http_tls_library http_tls_openssl;

/* -ELIBACC, -ELIBBAD. */
int http_tls_library_load(struct error *err);
/* Why the last call failed; `otherwise`, when it does not say. */
const char *http_tls_library_reason(const char *otherwise);

/* http_tls_keys.c: both ways to speak TLS, from the parameters; `certificate`: what it is;
 * `oddity`: what is odd about it, or "". */
struct http_tls_contexts {
	SSL_CTX *server; /* that clients meet */
	SSL_CTX *client; /* that asks servers */
	bool verifies;	 /* servers */
};
int http_tls_contexts_new(const struct params *params, struct http_tls_contexts *out,
			  char *certificate, char *oddity, size_t size, struct error *err);

#endif
