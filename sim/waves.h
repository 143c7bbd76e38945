// Waves to a file that may be a pipe, and on a disk that may be full.
//
// Verilator would wait for itself for ever where a VCD file cannot be written, and end the process where an FST file cannot. So it is
// made to write here, where everything seems to succeed: the simulation looks at `error` and ends.

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>

#if VM_TRACE_FST
#include <verilated_fst_c.h>

#include <fstcpp/fstcpp_file.h>
#include <fstcpp/fstcpp_writer.h>

#include <fstream>
#include <streambuf>
#else
#include <verilated_vcd_c.h>
#endif

namespace {

class WaveFile {
    static constexpr size_t CHUNK = 1 << 16;  // bytes that are written at once
    const int m_fd;
    bool m_regular;
    int64_t m_at = 0, m_end = 0;  // where the next byte goes; length of the file
    std::string m_rest;  // what is still to be written
public:
    int error = 0;  // error number of the first write that failed; nothing is written after it
    bool interrupted = false;  // a signal came while a pipe's reader was waited for: now nothing waits, so that the caller can see to it

    explicit WaveFile(int fd) : m_fd{fd} {
        struct stat status;
        m_regular = !fstat(fd, &status) && S_ISREG(status.st_mode);
    }

    int64_t at() const { return m_at; }
    int64_t end() const { return m_end; }

    void write(const char* data, size_t size) {
        m_at += int64_t(size);
        m_end = std::max(m_end, m_at);
        if (error) return;
        m_rest.append(data, size);
        if (m_rest.size() >= CHUNK) flush();
    }

    void seek(int64_t at) {
        flush();
        m_at = at;
        if (!error && lseek(m_fd, at, SEEK_SET) < 0) error = errno;
    }

    void close() {
        flush();
        if (::close(m_fd) && !error) error = errno;
    }

private:
    void flush() {
        size_t done = 0;
        while (!error && !interrupted && done < m_rest.size()) {
            const ssize_t written = ::write(m_fd, m_rest.data() + done, m_rest.size() - done);
            if (written >= 0) {
                done += size_t(written);
                interrupted = !m_regular && done < m_rest.size();  // nothing but a signal ends a write to a pipe early
            } else if (errno == EAGAIN) {  // somebody has made the pipe one that does not wait
                pollfd ready{m_fd, POLLOUT, 0};
                if (poll(&ready, 1, -1) < 0 && errno == EINTR) interrupted = true;
            } else if (errno != EINTR) {
                error = errno;
            } else {
                interrupted = !m_regular;
            }
        }
        m_rest.erase(0, error ? m_rest.size() : done);
    }
};

#if VM_TRACE_FST

// Where the FST writer's stream puts its bytes.
class WaveStream final : public std::streambuf {
    WaveFile& m_file;

public:
    explicit WaveStream(WaveFile& file) : m_file{file} {}

protected:
    std::streamsize xsputn(const char* data, std::streamsize size) override {
        m_file.write(data, size_t(size));
        return size;
    }
    int_type overflow(int_type c) override {
        const char byte = traits_type::to_char_type(c);
        m_file.write(&byte, 1);
        return traits_type::not_eof(c);
    }
    pos_type seekoff(off_type off, std::ios_base::seekdir from, std::ios_base::openmode) override {
        const int64_t at = off + (from == std::ios_base::beg ? 0 : from == std::ios_base::cur ? m_file.at() : m_file.end());
        if (at != m_file.at()) m_file.seek(at);
        return pos_type(at);
    }
    pos_type seekpos(pos_type at, std::ios_base::openmode which) override { return seekoff(off_type(at), std::ios_base::beg, which); }
};

// The way to the writer's stream, which is private: an explicit instantiation may name private members.
template <auto Member, typename From, typename To>
struct Opened {
    friend To& inside(From& from) { return from.*Member; }
};
VerilatedFst& inside(VerilatedFstC& trace);
fst::Writer*& inside(VerilatedFst& trace);
std::ofstream& inside(fst::Writer& writer);
template struct Opened<&VerilatedFstC::m_sptrace, VerilatedFstC, VerilatedFst>;
template struct Opened<&VerilatedFst::m_fst, VerilatedFst, fst::Writer*>;
template struct Opened<&fst::Writer::m_main_fst_file_, fst::Writer, std::ofstream>;

class Waves {
    WaveStream m_stream;
    VerilatedFstC m_trace;

public:
    Waves(WaveFile& file, Vtop& top) : m_stream{file} {
        top.trace(&m_trace, 99);
        m_trace.open("/dev/null");
        file.seek(fst::kSharedBlockHeaderSize + fst::HeaderInfo::total_size);  // the writer has left room for its header, which comes last
        static_cast<std::ios&>(inside(*inside(inside(m_trace)))).rdbuf(&m_stream);
    }
    ~Waves() { m_trace.close(); }
    void dump(uint64_t time) { m_trace.dump(time); }
};

#else

class VcdFile final : public VerilatedVcdFile {
    WaveFile& m_file;

public:
    explicit VcdFile(WaveFile& file) : m_file{file} {}
    bool open(const std::string&) override { return true; }
    void close() override {}
    ssize_t write(const char* data, ssize_t size) override {
        m_file.write(data, size_t(size));
        return size;
    }
};

class Waves {
    VcdFile m_file;
    VerilatedVcdC m_trace;

public:
    Waves(WaveFile& file, Vtop& top) : m_file{file}, m_trace{&m_file} {
        top.trace(&m_trace, 99);
        m_trace.open("");
    }
    ~Waves() { m_trace.close(); }
    void dump(uint64_t time) { m_trace.dump(time); }
};

#endif

}  // namespace
