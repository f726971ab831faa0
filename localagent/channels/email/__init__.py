"""E-mail: SMTP out, IMAP in. What comes in is untrusted from the first header to the last byte."""
