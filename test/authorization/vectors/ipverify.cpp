// Answers queries with HTCondor's IpVerify, from the libcondor_utils of its Python bindings.
// Declares only what it calls; the classes are padded to more than their real size.
//
// Standard input, fields separated by tabs:          set KNOB VALUE    (an empty value unsets it)
//                                                    restart           (read the knobs again, without holes)
//                                                    hole LEVEL USER
//                                                    verify LEVEL ADDRESS USER    -> 1 or 0
// A LEVEL is its number in DCpermission (condor_perms.h).
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

enum SubsystemType : long { SUBSYSTEM_TYPE_DAEMON = 11 };
enum DCpermission : int {};
void set_mySubSystem(const char *, bool, SubsystemType);
bool config_ex(int);
void config_insert(const char *, const char *);

struct condor_sockaddr {
    condor_sockaddr();
    bool from_ip_string(const char *);
    char room[512];
};

struct IpVerify {
    IpVerify();
    ~IpVerify();
    int Verify(DCpermission, const condor_sockaddr &, const char *, std::string &, std::string &);
    bool PunchHole(DCpermission, const std::string &);
    char room[65536];
};

static std::vector<std::string> fields(const std::string &line) {
    std::vector<std::string> found;
    std::istringstream rest(line + "\t");
    for (std::string field; std::getline(rest, field, '\t');) found.push_back(field);
    return found;
}

static DCpermission level(const std::string &number) { return static_cast<DCpermission>(std::atoi(number.c_str())); }

int main() {
    set_mySubSystem("ANNEXD", true, SUBSYSTEM_TYPE_DAEMON);
    config_ex(0);
    auto ipverify = std::make_unique<IpVerify>();
    for (std::string line; std::getline(std::cin, line);) {
        const auto field = fields(line);
        if (field[0] == "set") config_insert(field[1].c_str(), field[2].c_str());
        if (field[0] == "restart") ipverify = std::make_unique<IpVerify>();
        if (field[0] == "hole") ipverify->PunchHole(level(field[1]), field[2]);
        if (field[0] == "verify") {
            condor_sockaddr address;
            address.from_ip_string(field[2].c_str());
            std::string allowed, denied;
            std::cout << ipverify->Verify(level(field[1]), address, field[3].c_str(), allowed, denied) << std::endl;
        }
    }
    _exit(0);  // the library's own clean-up expects a whole daemon
}
