-- Reserved: the documents' tables take this number.
SELECT 1;
