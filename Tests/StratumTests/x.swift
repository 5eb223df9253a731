import Stratum
