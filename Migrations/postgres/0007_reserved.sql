-- Reserved: the treasury's tables take this number.
SELECT 1;
