/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Certificate, key and authorities as OpenSSL takes them. HTTP/1.1 is all that is agreed on, and
 * TLS 1.2 is the oldest that is spoken.
 */
#include "faults/http.h"
#include "faults/http_tls_library.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ssl http_tls_openssl

static const unsigned char http_1[] = "\x08http/1.1";
#define HTTP_1_SIZE (sizeof(http_1) - 1)

/* Who offers others alone gets no_application_protocol; who offers none, HTTP/1.1. */
static int select_protocol(SSL *stream, const unsigned char **out, unsigned char *out_size,
			   const unsigned char *offered, unsigned size, void *context)
{
	unsigned char *found;

	(void)stream, (void)context;
	if (ssl.SSL_select_next_proto(&found, out_size, http_1, HTTP_1_SIZE, offered, size) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

/* The key has none: nobody is to be asked for it. */
static int no_passphrase(char *out, int size, int is_writing, void *context)
{
	(void)out, (void)size, (void)is_writing, (void)context;
	return 0;
}

static SSL_CTX *new_context(const SSL_METHOD *method)
{
	SSL_CTX *context = ssl.SSL_CTX_new(method);

	if (!context)
		return NULL;
	ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
	ssl.SSL_CTX_ctrl(context, SSL_CTRL_MODE,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				 SSL_MODE_RELEASE_BUFFERS,
			 NULL);
	ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
	ssl.SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	return context;
}

/* Each certificate of a parameter. */
static int each_certificate(const struct params *params, unsigned key,
			    int (*take)(SSL_CTX *context, X509 *certificate, unsigned number),
			    SSL_CTX *context, struct error *err)
{
	const char *name = params->table[key].name;
	size_t size = 0;
	cleanup_free char *text = http_tls_pem(params, key, &size);
	BIO *from = text ? ssl.BIO_new_mem_buf(text, (int)size) : NULL;
	X509 *certificate;
	unsigned count = 0;
	int result = 0;

	if (!from)
		return error_errno(err, ENOMEM, "%s", name);
	for (unsigned i = 1; i < params_count(params, key); i++)
		count += strncmp(params_value(params, key, i)->text, "-----BEGIN ", 11) == 0;
	for (unsigned i = 0; result == 0 && i < count; i++) {
		ssl.ERR_clear_error();
		certificate = ssl.PEM_read_bio_X509(from, NULL, no_passphrase, NULL);
		if (!certificate || !take(context, certificate, i))
			result = error_set(err, EINVAL, "%s: certificate %u of %.100s: %s", name,
					   i + 1, params_text(params, key),
					   http_tls_library_reason("it cannot be used"));
		ssl.X509_free(certificate);
	}
	ssl.BIO_free(from);
	return result;
}

/* The first is the server's, the others lead to its authority. */
static int take_own(SSL_CTX *context, X509 *certificate, unsigned number)
{
	return number == 0 ? ssl.SSL_CTX_use_certificate(context, certificate)
			   : (int)ssl.SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1, certificate);
}

static int take_authority(SSL_CTX *context, X509 *certificate, unsigned number)
{
	(void)number;
	return ssl.X509_STORE_add_cert(ssl.SSL_CTX_get_cert_store(context), certificate);
}

static int take_key(const struct params *params, SSL_CTX *context, struct error *err)
{
	size_t size = 0;
	char *text = http_tls_pem(params, HTTP_PARAM_TLS_KEY, &size);
	BIO *from = text ? ssl.BIO_new_mem_buf(text, (int)size) : NULL;
	EVP_PKEY *key = from ? ssl.PEM_read_bio_PrivateKey(from, NULL, no_passphrase, NULL) : NULL;
	int result = 0;

	/* reasons of OpenSSL name no content */
	if (!key)
		result = error_set(err, EINVAL, "tls-key: %.100s: %s",
				   params_text(params, HTTP_PARAM_TLS_KEY),
				   http_tls_library_reason("it cannot be read"));
	ssl.ERR_clear_error();
	if (result == 0 && (!ssl.SSL_CTX_use_PrivateKey(context, key) ||
			    !ssl.SSL_CTX_check_private_key(context))) {
		result = error_set(err, EINVAL,
				   "tls-key: the key in %.100s is not that of the certificate in "
				   "%.100s (%s)",
				   params_text(params, HTTP_PARAM_TLS_KEY),
				   params_text(params, HTTP_PARAM_TLS_CERTIFICATE),
				   http_tls_library_reason("they do not fit"));
		error_remedy(err, "the server's own certificate comes first in its file, those of "
				  "authorities behind it");
	}
	ssl.EVP_PKEY_free(key);
	if (from)
		ssl.BIO_free(from);
	if (text)
		explicit_bzero(text, size);
	free(text);
	return result;
}

static void say_time(const ASN1_TIME *time, char out[20])
{
	struct tm parts = {0};

	snprintf(out, 20, "?");
	if (ssl.ASN1_TIME_to_tm(time, &parts))
		strftime(out, 20, "%Y-%m-%d", &parts);
}

/* The first certificate, for people. */
static void describe(const struct params *params, char *certificate, char *oddity, size_t size)
{
	size_t length = 0;
	cleanup_free char *text = http_tls_pem(params, HTTP_PARAM_TLS_CERTIFICATE, &length);
	BIO *from = text ? ssl.BIO_new_mem_buf(text, (int)length) : NULL;
	X509 *first = from ? ssl.PEM_read_bio_X509(from, NULL, no_passphrase, NULL) : NULL;
	char name[120] = "", begins[20], ends[20];

	*certificate = *oddity = '\0';
	if (first) {
		ssl.X509_NAME_oneline(ssl.X509_get_subject_name(first), name, sizeof(name));
		say_time(ssl.X509_get0_notBefore(first), begins);
		say_time(ssl.X509_get0_notAfter(first), ends);
		snprintf(certificate, size, "%s, valid until %s", name, ends);
		if (ssl.X509_cmp_current_time(ssl.X509_get0_notAfter(first)) < 0)
			snprintf(oddity, size,
				 "the certificate has expired on %s: clients that look refuse it",
				 ends);
		else if (ssl.X509_cmp_current_time(ssl.X509_get0_notBefore(first)) > 0)
			snprintf(oddity, size,
				 "the certificate is not valid before %s: clients that look "
				 "refuse it",
				 begins);
	}
	ssl.X509_free(first);
	if (from)
		ssl.BIO_free(from);
}

int http_tls_contexts_new(const struct params *params, struct http_tls_contexts *out,
			  char *certificate, char *oddity, size_t size, struct error *err)
{
	int result;

	out->server = new_context(ssl.TLS_server_method());
	out->client = new_context(ssl.TLS_client_method());
	out->verifies = params_is_set(params, HTTP_PARAM_TLS_CA);
	if (!out->server || !out->client ||
	    ssl.SSL_CTX_set_alpn_protos(out->client, http_1, HTTP_1_SIZE) != 0)
		return error_errno(err, ENOMEM, "OpenSSL");
	ssl.SSL_CTX_set_alpn_select_cb(out->server, select_protocol, NULL);
	result = each_certificate(params, HTTP_PARAM_TLS_CERTIFICATE, take_own, out->server, err);
	if (result == 0)
		result = take_key(params, out->server, err);
	if (result == 0 && out->verifies)
		result = each_certificate(params, HTTP_PARAM_TLS_CA, take_authority, out->client,
					  err);
	if (result == 0 && out->verifies)
		ssl.SSL_CTX_set_verify(out->client, SSL_VERIFY_PEER, NULL);
	if (result == 0)
		describe(params, certificate, oddity, size);
	return result;
}
